import { createHash } from 'node:crypto'
import { type ErrorCode, errorEntry } from '../../shared/errors.ts'
import { problemCode } from '../../shared/tunnel/dial-relay.ts'
import { SUBPROTOCOL } from '../../shared/version.ts'
import { type Answer, ask, connectAgain } from './ask.ts'
import type { PathContext } from './context.ts'
import { type Finding, fail, ok, warn } from './finding.ts'
import { pingOver } from './ping.ts'

/** RFC 6455 section 1.3. */
const ACCEPT_SALT = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11'

/** How long an answer to a WebSocket PING may take in ms. */
const PONG_MS = 5_000

/** Headers that a relay never sends: somebody on the way added them. */
const FOREIGN_HEADERS =
  /^(via|server|x-cache.*|x-forwarded-.*|proxy-.*|age|cf-.*|x-squid-.*|x-amz.*|x-azure.*)$/i

/** What became of the upgrade. */
export interface UpgradeEvidence {
  readonly answer: Pick<Answer, 'status' | 'rawHeaders' | 'headers' | 'body' | 'ms'>
  /** Of the request. */
  readonly key: string
  /** True where our certificate was shown: the relay lets us in then, and refuses us as unknown without. */
  readonly isShown: boolean
  /** Where it was upgraded: how long a message took there and back in ms, or undefined where none came back. */
  readonly pongMs?: number | undefined
}

/** Asks for the WebSocket as the agent does. No session begins by it. */
export async function checkUpgrade(context: PathContext): Promise<readonly Finding[]> {
  const { effects, seen, client } = context
  const key = effects.randomBytes(16).toString('base64')
  const socket = await connectAgain(context)
  const answer = await ask(context, socket, '/v1/agent', {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': key,
    'sec-websocket-protocol': SUBPROTOCOL,
  })
  const isShown = seen.isRelay === true && client !== undefined
  const pongMs =
    answer.upgraded === undefined
      ? undefined
      : await pingOver(answer.upgraded, { effects, signal: context.signal, limitMs: PONG_MS })
  socket.destroy()
  seen.isUpgraded = pongMs !== undefined
  return readUpgrade({ answer, key, isShown, pongMs })
}

/** What the answer means. */
function readUpgrade(upgrade: UpgradeEvidence): readonly Finding[] {
  const { answer, pongMs } = upgrade
  const { status, ms } = answer
  const between = foreignHeaders(answer.rawHeaders)
  const code = problemCode(answer.body)
  const evidence = { status, code, ms, pongMs, between }
  const findings = [status === 101 ? readAccepted(upgrade) : readRefused(upgrade, code)].map((finding) => ({
    ...finding,
    evidence,
  }))
  if (between.length > 0) {
    findings.push({
      ...warn(
        'RELAY_IDENTITY',
        `somebody on the way adds headers that no relay sends: ${between.join(', ')}`,
        'the network team: exempt this address from what rewrites HTTP',
      ),
      evidence,
    })
  }
  return findings
}

function readAccepted({ answer, key, pongMs }: UpgradeEvidence): Finding {
  const accept = createHash('sha1')
    .update(key + ACCEPT_SALT)
    .digest('base64')
  if (answer.headers['sec-websocket-accept'] !== accept) {
    return stripped('answers the upgrade without having understood it: Sec-WebSocket-Accept is wrong')
  }
  if (answer.headers['sec-websocket-protocol'] !== SUBPROTOCOL) {
    return stripped('takes Sec-WebSocket-Protocol out of the answer')
  }
  if (pongMs === undefined) {
    return fail(
      'RELAY_UNREACHABLE',
      `the upgrade is answered, but no message comes back within ${PONG_MS / 1_000} s: something on the way holds back what is not a whole answer`,
      'the network team: exempt this address from buffering and scanning of answers',
    )
  }
  return ok(
    `the connection becomes a WebSocket in ${answer.ms} ms; a message there and back takes ${pongMs} ms`,
  )
}

function readRefused({ answer, isShown }: UpgradeEvidence, code: ErrorCode | undefined): Finding {
  const { status } = answer
  if (code === 'IDENTITY' && !isShown) {
    return ok(
      `the request for a WebSocket reaches the relay whole, which refuses whoever has not joined, as it must (${answer.ms} ms)`,
    )
  }
  if (code === 'NOT_FOUND') return stripped('takes Upgrade and Connection out of the request')
  if (code === 'PROTOCOL') return stripped('takes Sec-WebSocket-Protocol out of the request')
  if (code !== undefined) {
    const { text, next } = errorEntry(code)
    return fail(code, `the relay answers ${status}: ${text}`, next)
  }
  if (status === 400 && /sec-websocket/i.test(answer.body)) {
    return stripped(`takes headers of the WebSocket out of the request (${answer.body.trim().slice(0, 100)})`)
  }
  const said = firstWords(answer.body)
  return fail(
    'RELAY_UNREACHABLE',
    `not the relay but something on the way answers ${status}${said === '' ? '' : `: ${said}`}`,
    'the network team: allow WebSockets (RFC 6455) to this address',
  )
}

function stripped(what: string): Finding {
  return fail(
    'RELAY_UNREACHABLE',
    `something on the way ${what}`,
    'the network team: allow WebSockets (RFC 6455) to this address, or let its TLS pass as it is',
  )
}

/** `Name: value` of what a middle box wrote; printable, at most 8. */
function foreignHeaders(rawHeaders: readonly string[]): string[] {
  const found: string[] = []
  for (let at = 0; at + 1 < rawHeaders.length && found.length < 8; at += 2) {
    const [name = '', value = ''] = rawHeaders.slice(at, at + 2)
    if (FOREIGN_HEADERS.test(name)) found.push(`${name}: ${value}`.replaceAll(/[^ -~]/g, '?').slice(0, 120))
  }
  return found
}

/** The title of an error page, or its first words. */
function firstWords(body: string): string {
  const [, title] = /<title>([^<]{1,120})/i.exec(body) ?? []
  return (title ?? body)
    .replaceAll(/<[^>]*>/g, ' ')
    .replaceAll(/[^ -~]+/g, ' ')
    .trim()
    .slice(0, 120)
}
