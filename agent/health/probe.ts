import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, isTunnelError } from '../../shared/errors.ts'
import type { ProbeKind, Rule } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { type DialOptions, dialTarget } from '../dial/dial.ts'
import { converse } from './converse.ts'
import { type Hello, harmless, type Reading } from './hello.ts'
import { helloOf, probeKind } from './kind.ts'
import { leave } from './leave.ts'
import { inspectTls, type SeenCertificates } from './tls.ts'

/** Milliseconds for a whole probe: name, connect, hello, handshake. */
export const PROBE_MS = 5_000

/** What a probe found. */
export interface ProbeResult {
  readonly kind: ProbeKind
  /** `warn`: it serves, but something wants attention. */
  readonly state: 'ok' | 'warn' | 'failing'
  /** With `failing`: why. */
  readonly code?: ErrorCode
  /** In our own words, without an address or a word of the target: may leave the site. May be empty. */
  readonly note: string
  /**
   * All that was found, printable ASCII of at most 200 characters. It names addresses and versions: it stays on the site
   * unless the rule says `detail`.
   */
  readonly detail: string
  /** Milliseconds until the connection stood, or until it was known not to. */
  readonly ms: number
}

export interface ProbeOptions extends Omit<DialOptions, 'deadlineMs' | 'socketOptions' | 'effects'> {
  readonly effects: Pick<Effects, 'now' | 'date' | 'after'>
  /** Certificates of targets, where they are kept from probe to probe. */
  readonly seen?: SeenCertificates
  /** How long a target of kind `tcp` may take for a greeting, in ms; 0 by default: connecting is enough. */
  readonly greetingMs?: number
}

const CONNECTED: Reading = { state: 'ok', note: 'takes connections' }

/** For a target that nothing is known about: what it says by itself. */
const GREETING: Hello = {
  read: (answer) => ({ ...CONNECTED, said: answer.toString('latin1').split(/\r?\n/, 1)[0] ?? '' }),
  silence: CONNECTED,
}

/**
 * Dials the target of a rule as a stream would, held to the same rules, and says hello in its protocol.
 * @throws {TunnelError} CANCELLED, or the reason of the signal, where it aborts; whatever the target does is a result
 */
export async function probeTarget(rule: Rule, options: ProbeOptions): Promise<ProbeResult> {
  const { effects, signal } = options
  const kind = probeKind(rule)
  const began = effects.now()
  let socket: Socket
  try {
    socket = await dialTarget(rule, { ...options, deadlineMs: PROBE_MS })
  } catch (error) {
    if (signal.aborted || !isTunnelError(error)) throw error
    const { code, detail } = error
    return { kind, state: 'failing', code, note: '', detail: harmless(detail), ms: effects.now() - began }
  }
  const ms = effects.now() - began
  // Whatever breaks after the answer is of no interest.
  socket.on('error', () => undefined)
  const where = formatHostPort(socket.remoteAddress ?? rule.host.text, rule.port)
  const reading = await askWithin(socket, rule, options, Math.max(1, PROBE_MS - ms))
  return { kind, ms, ...resultOf(reading, where) }
}

async function askWithin(
  socket: Socket,
  rule: Rule,
  { effects, signal, seen = new Map(), greetingMs = 0 }: ProbeOptions,
  leftMs: number,
): Promise<Reading> {
  const isGreeting = probeKind(rule) === 'tcp' && greetingMs > 0
  const hello = isGreeting ? GREETING : helloOf(rule)
  const limit = new AbortController()
  const onAbort = () => limit.abort()
  signal.addEventListener('abort', onAbort, { once: true })
  const cancelTimer = effects.after(isGreeting ? greetingMs : leftMs, onAbort)
  try {
    const reading = await ask(socket, rule, { hello, effects, seen, limit: limit.signal })
    signal.throwIfAborted()
    return reading
  } finally {
    cancelTimer()
    signal.removeEventListener('abort', onAbort)
  }
}

interface Question {
  readonly hello: Hello | undefined
  readonly effects: ProbeOptions['effects']
  readonly seen: SeenCertificates
  readonly limit: AbortSignal
}

/** Asks, and leaves the socket. */
async function ask(socket: Socket, rule: Rule, { hello, effects, seen, limit }: Question): Promise<Reading> {
  const handshake = (isOffered: boolean) =>
    inspectTls(socket, { host: rule.host, port: rule.port, seen, effects, signal: limit, isOffered })
  if (probeKind(rule) === 'tls') return await handshake(false)
  const reading = hello === undefined ? CONNECTED : await converse(socket, hello, limit)
  if (reading.startTls !== true) {
    leave(socket, effects, hello?.bye)
    return reading
  }
  const tls = await handshake(true)
  return { ...tls, note: `${reading.note}: ${tls.note}` }
}

function resultOf(reading: Reading, where: string): Pick<ProbeResult, 'state' | 'code' | 'note' | 'detail'> {
  const { state, note, said = '' } = reading
  return {
    state,
    ...(state === 'failing' ? { code: reading.code ?? 'TARGET_UNHEALTHY' } : {}),
    note,
    detail: harmless(`${where}: ${note}${said === '' ? '' : `: ${said}`}`),
  }
}
