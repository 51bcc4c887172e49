import { foreign, type Hello, type Reading } from './hello.ts'

/**
 * A search for the root entry without its attributes (RFC 4511 section 4.5, RFC 4512 section 5.1): message 1, base "", scope
 * baseObject, at most one entry in 5 s, filter (objectClass=*), attributes 1.1. Anybody may ask it without a bind.
 */
const ROOT_SEARCH = Buffer.concat([
  Uint8Array.of(0x30, 0x2a, 0x02, 0x01, 0x01, 0x63, 0x25, 0x04, 0x00, 0x0a, 0x01, 0x00, 0x0a, 0x01, 0x00),
  Uint8Array.of(0x02, 0x01, 0x01, 0x02, 0x01, 0x05, 0x01, 0x01, 0x00, 0x87, 0x0b),
  Buffer.from('objectClass'),
  Uint8Array.of(0x30, 0x05, 0x04, 0x03),
  Buffer.from('1.1'),
])

/** UnbindRequest, message 2. */
const UNBIND = Uint8Array.of(0x30, 0x05, 0x02, 0x01, 0x02, 0x42, 0x00)

const SEQUENCE = 0x30
const OPERATION = { entry: 0x64, done: 0x65, reference: 0x73, notice: 0x78 } as const

/** Result codes by which a server says that it cannot serve now: busy, unavailable. */
const ILL: ReadonlySet<number> = new Set([51, 52])

/** The header of a BER element: its tag and where its content begins; undefined while it is not whole. */
function element(bytes: Buffer, at: number): { tag: number; content: number } | undefined {
  const tag = bytes[at]
  const length = bytes[at + 1]
  if (tag === undefined || length === undefined) return undefined
  return { tag, content: at + 2 + (length < 0x80 ? 0 : length & 0x7f) }
}

function meaning(answer: Buffer): Reading | 'more' | 'foreign' {
  if (answer.length > 0 && answer[0] !== SEQUENCE) return 'foreign'
  const message = element(answer, 0)
  if (message === undefined || answer.length < message.content + 3) return 'more'
  const [tag, length, id] = answer.subarray(message.content)
  if (tag !== 0x02 || length !== 1) return 'foreign'
  const operation = element(answer, message.content + 3)
  if (operation === undefined) return 'more'
  // What comes unasked has the number 0, an answer that of the question.
  if (id !== (operation.tag === OPERATION.notice ? 0 : 1)) return 'foreign'
  switch (operation.tag) {
    case OPERATION.entry:
    case OPERATION.reference:
      return { state: 'ok', note: 'LDAP' }
    case OPERATION.notice:
      return { state: 'failing', note: 'LDAP refuses: notice of disconnection' }
    case OPERATION.done: {
      const code = answer[operation.content + 2]
      if (code === undefined) return 'more'
      return ILL.has(code)
        ? { state: 'failing', note: `LDAP refuses with result ${code}` }
        : { state: 'ok', note: 'LDAP' }
    }
    default:
      return 'foreign'
  }
}

/** Whatever result a server gives to the search, it is one that answers LDAP; only busy and unavailable are not well. */
export const ldapHello: Hello = {
  ask: ROOT_SEARCH,
  read: (answer) => {
    const found = meaning(answer)
    if (found === 'more') return undefined
    return found === 'foreign' ? foreign('LDAP', answer) : found
  },
  bye: UNBIND,
}
