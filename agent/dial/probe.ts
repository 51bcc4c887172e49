import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, isTunnelError } from '../../shared/errors.ts'
import type { Rule } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { type DialOptions, dialTarget } from './dial.ts'

/** Milliseconds for a whole probe. */
export const PROBE_MS = 3_000
/** Milliseconds that a service which is not asked anything has for its greeting. */
export const GREETING_MS = 500

const MAX_BYTES = 1_024
const MAX_SHOWN = 120

/** What a probe found. It stays on the site: detail and greeting name addresses and versions. */
export interface ProbeResult {
  /** True where the target took the connection. */
  readonly ok: boolean
  /** Why not. */
  readonly code?: ErrorCode
  /** What was dialled or what went wrong, for a person. */
  readonly detail: string
  /** Milliseconds until the connection stood, or until it was known not to. */
  readonly ms: number
  /** What the service seems to be; printable ASCII, at most 120 characters. */
  readonly greeting?: string
}

export type ProbeOptions = Omit<DialOptions, 'deadlineMs' | 'socketOptions'>

/** Services that speak only when spoken to, by their usual port, with a question that changes nothing. */
const QUESTIONS: ReadonlyMap<number, Buffer> = new Map([
  // SSLRequest: length 8, code 80877103. Any PostgreSQL answers one letter.
  [5432, Buffer.from([0, 0, 0, 8, 4, 210, 22, 47])],
  [6379, Buffer.from('PING\r\n')],
])

/** Dials the target of a rule as a stream would, and tells what answered. */
export async function probeTarget(rule: Rule, options: ProbeOptions): Promise<ProbeResult> {
  const { effects, signal } = options
  const began = effects.now()
  let socket: Socket
  try {
    socket = await dialTarget(rule, { ...options, deadlineMs: PROBE_MS })
  } catch (err) {
    if (!isTunnelError(err)) throw err
    return { ok: false, code: err.code, detail: err.detail, ms: effects.now() - began }
  }
  const ms = effects.now() - began
  const where = formatHostPort(socket.remoteAddress ?? rule.host.text, rule.port)
  const question = rule.protocol === 'http' ? headRequest(rule) : QUESTIONS.get(rule.port)
  const waitMs = Math.max(1, rule.protocol === 'http' ? PROBE_MS - ms : Math.min(GREETING_MS, PROBE_MS - ms))
  try {
    if (question !== undefined) socket.write(question)
    const greeting = recognise(rule, await firstBytes(socket, waitMs, effects, signal))
    const isMute = rule.protocol === 'http' && greeting === undefined
    return {
      ok: true,
      detail: isMute ? `connected to ${where}, which gave no HTTP answer` : `connected to ${where}`,
      ms,
      ...(greeting !== undefined && { greeting }),
    }
  } finally {
    socket.destroy()
  }
}

function headRequest(rule: Rule): Buffer {
  const host = rule.http?.hostHeader ?? formatHostPort(rule.host.text, rule.port)
  const path = rule.http?.pathPrefixes[0] ?? '/'
  return Buffer.from(`HEAD ${path} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`)
}

/** What comes until the first line is whole, the peer ends, or nothing more is to be expected. Never rejects. */
function firstBytes(
  socket: Socket,
  waitMs: number,
  effects: Pick<Effects, 'after'>,
  signal: AbortSignal,
): Promise<Buffer> {
  return new Promise((resolve) => {
    let bytes = Buffer.alloc(0)
    const finish = () => {
      cancelTimer()
      signal.removeEventListener('abort', finish)
      resolve(bytes)
    }
    const cancelTimer = effects.after(waitMs, finish)
    signal.addEventListener('abort', finish, { once: true })
    socket.on('error', finish)
    socket.on('close', finish)
    socket.on('end', finish)
    socket.on('data', (chunk) => {
      bytes = Buffer.concat([bytes, chunk.subarray(0, MAX_BYTES - bytes.length)])
      const isWhole = bytes.includes('\n') || isBinary(bytes) || bytes.length >= MAX_BYTES
      if (isWhole || socket.remotePort === 5432) finish()
    })
  })
}

/** What a service seems to be by its first bytes; undefined where they tell nothing. */
export function recognise(rule: Pick<Rule, 'port' | 'protocol'>, bytes: Buffer): string | undefined {
  if (bytes.length === 0) return undefined
  const line = printable(bytes.toString('latin1').split(/\r?\n/, 1)[0] ?? '')
  if (rule.protocol === 'http') return /^HTTP\/1\.[01] [1-5][0-9]{2}/.test(line) ? line : undefined
  if (rule.port === 5432 && bytes.length === 1 && 'SN'.includes(line)) {
    return line === 'S' ? 'PostgreSQL, with TLS' : 'PostgreSQL, without TLS'
  }
  if (line.startsWith('+PONG') || line.startsWith('-NOAUTH')) return 'Redis'
  // Handshake packet of MySQL: sequence number 0, protocol 10, then the version up to a NUL.
  if (bytes[3] === 0 && bytes[4] === 10)
    return printable(`MySQL ${bytes.subarray(5).toString('latin1').split('\0', 1)[0]}`)
  return isBinary(bytes) ? undefined : line
}

function isBinary(bytes: Buffer): boolean {
  return bytes.some((byte) => byte < 9)
}

/** A hostile service must not write control sequences on the administrator's terminal. */
function printable(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_SHOWN)
}
