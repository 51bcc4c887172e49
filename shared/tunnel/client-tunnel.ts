import type { Effects } from '../effects.ts'
import { codeFromWire, type ErrorCode, TunnelError, wireFromCode } from '../errors.ts'
import { decodeHelloOk, encodeHello, type Hello, type HelloOk, LINKS_CAPABILITY } from '../handshake/hello.ts'
import { formatLinkHeader, LINK_HEADER } from '../identity/link-header.ts'
import type { RelayAddress } from '../identity/relay-address.ts'
import type { Attention } from '../mux/attention.ts'
import { encodeControl } from '../mux/encode.ts'
import { Session } from '../mux/session.ts'
import type { OpenFrame } from '../mux/session-handler.ts'
import { SESSION_LIMITS } from '../mux/session-limits.ts'
import type { WindowBudget } from '../mux/window.ts'
import { dialFirst } from './dial-first.ts'
import { dialRelay, dialTunnel, type TunnelIdentity } from './dial-relay.ts'
import { FurtherLinks } from './further-links.ts'
import { greetingFor } from './greeting.ts'
import { jitteredInterval, PING_INTERVAL_MS } from './liveness.ts'
import { SessionSocket } from './session-socket.ts'

/** How long the relay may take to answer HELLO, in ms. */
const HELLO_TIMEOUT_MS = 5_000

/**
 * How often a session that was told to go looks whether its streams are over, in ms; until the first look it takes OPENs
 * that crossed the word, so this is longer than most round trips.
 */
const DRAIN_POLL_MS = 250

/** What a HELLO says beside what is the same in each. */
export type HelloContent = Pick<Hello, 'instance'> & Partial<Hello>

export interface ClientTunnelOptions {
  readonly path: '/v1/agent' | '/v1/connector'
  readonly address: RelayAddress
  /** Tried in this order where `address` fails or stays silent; none by default. */
  readonly otherAddresses?: readonly RelayAddress[]
  /** Most silence in ms before this side asks; the relay may want less. */
  readonly pingIntervalMs?: number
  /** Asked for each connection: a further link of an old session comes with the newest certificate. */
  readonly identity: () => TunnelIdentity
  /** Asked when the connection stands: what it names as held must be right at that moment. */
  readonly hello: () => HelloContent | Promise<HelloContent>
  readonly effects: Effects
  readonly budget: WindowBudget
  /** Shared by all sessions of this process with the relay; its own by default. */
  readonly attention?: Attention | undefined
  readonly mask: 'zero' | 'random'
  /** The relay opens a stream; see SessionHandler.opening. */
  readonly opening: (frame: OpenFrame, session: Session) => void
  readonly signal: AbortSignal
}

/** Why a session is to be replaced, and how long its streams may go on, in ms. */
export interface GoingAway {
  readonly code: ErrorCode
  readonly drainMs: number
  /** Bound of a random pause before the replacement is made, in ms. */
  readonly retryAfterMs: number
}

/** An agent's or connector's living session with a relay. */
export interface ClientTunnel {
  readonly session: Session
  readonly address: RelayAddress
  readonly relay: HelloOk
  /** The TLS inspector on the way, which the site accepted and which can read and change all that passes. */
  readonly inspector?: string
  /** Resolves, and never rejects, when the session is over. */
  readonly closed: Promise<TunnelError>
  /** Resolves when the relay asks to be replaced; streams go on until they end or its time is over. */
  readonly goingAway: Promise<GoingAway>
  /** Ends the session at once. */
  close(error: TunnelError): void
  /** Asks for a replacement from our own side, as a GOAWAY of the relay would. */
  retire(drainMs: number): void
  /**
   * Takes no more streams, and ends the session when the last is over or after `drainMs`: those that are left look for
   * another path.
   */
  drain(drainMs: number): void
}

/**
 * Dials the relay, upgrades and greets.
 * @throws {TunnelError} of `dialRelay`, and SESSION_LOST or PROTOCOL from the greeting
 */
export async function openClientTunnel(options: ClientTunnelOptions): Promise<ClientTunnel> {
  const { effects, signal } = options
  const identity = options.identity()
  const { address, value: dialled } = await dialAny(options, identity)
  const { inspected } = dialled
  const greeting = greetingFor(dialled, identity, effects)
  const slowestMs = options.pingIntervalMs ?? Number.POSITIVE_INFINITY
  const closed = Promise.withResolvers<TunnelError>()
  const greeted = Promise.withResolvers<HelloOk>()
  const goingAway = Promise.withResolvers<GoingAway>()
  // Nobody may be waiting for the greeting any more when it fails.
  greeted.promise.catch(() => {})
  let further: FurtherLinks | undefined
  const session: Session = new Session({
    role: 'peer',
    budget: options.budget,
    attention: options.attention,
    pingIntervalMs: jitteredInterval(Math.min(PING_INTERVAL_MS, slowestMs), effects),
    now: effects.now(),
    handler: {
      greeted: (_type, meta) => {
        const relay = decodeHelloOk(greeting.unwrap(meta))
        session.link.pingIntervalMs = jitteredInterval(Math.min(relay.pingIntervalMs, slowestMs), effects)
        further = furtherLinks({ ...options, address }, session, relay)
        greeted.resolve(relay)
      },
      opening: (frame) => options.opening(frame, session),
      goAway: (frame) => goingAway.resolve({ ...frame, code: codeFromWire(frame.code) }),
      links: (wanted) => further?.want(wanted),
      wake: () => link.wake(),
    },
  })
  const link: SessionSocket = new SessionSocket({
    socket: dialled.socket,
    session,
    isClient: true,
    mask: inspected === undefined ? options.mask : 'random',
    effects,
    onClosed: (error) => {
      further?.stop()
      greeted.reject(error)
      closed.resolve(error)
    },
  })
  const cancel = effects.after(HELLO_TIMEOUT_MS, () => {
    link.close(new TunnelError('RELAY_UNREACHABLE', 'the relay does not answer the greeting'))
  })
  const onAbort = () => link.close(new TunnelError('CANCELLED'))
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    // A further link proves itself by its certificate, which an inspector takes away.
    const capabilities = inspected === undefined ? [LINKS_CAPABILITY] : []
    session.greet('HELLO', greeting.wrap(encodeHello({ capabilities, ...(await options.hello()) })))
    const relay = await greeted.promise
    return {
      session,
      address,
      relay,
      ...(inspected === undefined ? {} : { inspector: inspected.by }),
      closed: closed.promise,
      goingAway: goingAway.promise,
      close: (error) => link.close(error),
      retire: (drainMs) => goingAway.resolve({ drainMs, retryAfterMs: 0, code: 'DRAINING' }),
      drain: (drainMs) => drain(session, link, effects, drainMs),
    }
  } finally {
    cancel()
    signal.removeEventListener('abort', onAbort)
  }
}

/** The first of the addresses that takes the connection. */
function dialAny(options: ClientTunnelOptions, identity: TunnelIdentity) {
  const { address, otherAddresses = [], path, effects, signal } = options
  return dialFirst([address, ...otherAddresses], {
    effects,
    signal,
    dial: (candidate, limit) => dialTunnel(candidate, path, identity, limit),
    discard: (late) => late.socket.destroy(),
  })
}

/** What brings further links, where the relay takes them. */
function furtherLinks(
  { address, identity, effects, mask }: ClientTunnelOptions,
  session: Session,
  { linkKey, session: name }: HelloOk,
): FurtherLinks | undefined {
  if (linkKey === undefined) return undefined
  const dial = (signal: AbortSignal) =>
    dialRelay(address, '/v1/link', identity(), signal, {
      [LINK_HEADER]: formatLinkHeader(name, linkKey, (length) => effects.randomBytes(length)),
    })
  return new FurtherLinks({ session, dial, mask, effects })
}

/**
 * Lets the streams of a session end, then closes it. The peer is told first, and OPENs that crossed the word are still
 * taken for a moment: nobody is refused because of a planned end (docs/protocol.md section 8.3).
 */
export function drain(
  session: Session,
  link: Pick<SessionSocket, 'close'>,
  effects: Effects,
  drainMs: number,
): void {
  announceEnd(session, drainMs)
  const until = effects.now() + drainMs
  const look = () => {
    if (session.isClosed) return
    session.goAway('DRAINING', drainMs)
    if (session.streamCount === 0 || effects.now() >= until) link.close(new TunnelError('DRAINING'))
    else effects.after(DRAIN_POLL_MS, look)
  }
  effects.after(DRAIN_POLL_MS, look)
}

/** A GOAWAY that still takes every OPEN, as in RFC 9113 section 6.8. */
function announceEnd(session: Session, drainMs: number): void {
  session.control(
    encodeControl({
      type: 'GOAWAY',
      id: 0,
      code: wireFromCode('DRAINING'),
      lastId: SESSION_LIMITS.lastId,
      drainMs,
      retryAfterMs: 0,
      meta: new Uint8Array(0),
    }),
  )
}
