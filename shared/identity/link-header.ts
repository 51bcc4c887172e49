import { createHmac, timingSafeEqual } from 'node:crypto'

/** Name of the header by which a further link says to which session it belongs (docs/protocol.md section 6.6). */
export const LINK_HEADER = 'sallyport-link'

const NONCE_BYTES = 16

/** `SESSION NONCE PROOF`; session names as HELLO_OK gives them, printable ASCII without a space. */
const SHAPE = /^([\x21-\x7e]{1,64}) ([0-9a-f]{32}) ([0-9a-f]{64})$/

/** The value of the header. `key`: `linkKey` of HELLO_OK; `randomBytes`: see Effects. */
export function formatLinkHeader(
  session: string,
  key: Uint8Array,
  randomBytes: (length: number) => Uint8Array,
): string {
  const nonce = Buffer.from(randomBytes(NONCE_BYTES)).toString('hex')
  return `${session} ${nonce} ${proofOf(session, nonce, key).toString('hex')}`
}

/**
 * The session that a header names, if its proof holds. `keyOf` gives the key of a session that the asking identity has.
 * @returns undefined where the header is not one, or there is no such session, or the proof is another's
 */
export function checkLinkHeader(
  value: string,
  keyOf: (session: string) => Uint8Array | undefined,
): string | undefined {
  const [, session, nonce, proof] = SHAPE.exec(value) ?? []
  if (session === undefined || nonce === undefined || proof === undefined) return undefined
  const key = keyOf(session)
  if (key === undefined) return undefined
  return timingSafeEqual(proofOf(session, nonce, key), Buffer.from(proof, 'hex')) ? session : undefined
}

function proofOf(session: string, nonce: string, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(`${session} ${nonce}`).digest()
}
