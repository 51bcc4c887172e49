import type { X509Certificate } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { WebSocketServer } from 'ws'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import {
  decodeHello,
  encodeHelloOk,
  type Hello,
  LINK_KEY_BYTES,
  LINKS_CAPABILITY,
} from '../../shared/handshake/hello.ts'
import { SIGNED_AGENT_PATH } from '../../shared/handshake/signed-hello.ts'
import type { Subject } from '../../shared/identity/subject.ts'
import type { Logger } from '../../shared/log.ts'
import { Session } from '../../shared/mux/session.ts'
import type { OpenFrame } from '../../shared/mux/session-handler.ts'
import type { WindowBudget } from '../../shared/mux/window.ts'
import { isStatedAtLeast, type ReleaseStatement } from '../../shared/release/statement.ts'
import { jitteredInterval, PING_INTERVAL_MS } from '../../shared/tunnel/liveness.ts'
import { SessionSocket } from '../../shared/tunnel/session-socket.ts'
import { sourceAddress } from '../../shared/tunnel/source-address.ts'
import { takeOverAfterHandshake } from '../../shared/tunnel/upgraded.ts'
import type { Audit } from '../audit/record.ts'
import { refusalEvent, sessionEvent } from '../audit/session-events.ts'
import type { Principal } from '../authority/identify.ts'
import { hearToken, type SessionTokens } from '../machines/session-token.ts'
import { createHealth } from './health.ts'
import type { LiveSession, Sessions } from './sessions.ts'

/** How long a peer may take to say HELLO after the upgrade, in ms. */
const HELLO_TIMEOUT_MS = 5_000

export interface AcceptContext extends SessionTokens {
  readonly effects: Effects
  readonly log: Logger
  readonly audit: Audit
  readonly budget: WindowBudget
  readonly sessions: Sessions
  readonly webSockets: WebSocketServer
  /** True once the relay is shutting down. */
  readonly isDraining: () => boolean
  /** The peer opens a stream; see SessionHandler.opening. */
  readonly opening: (frame: OpenFrame, from: LiveSession) => void
  /** Agents that state no such release, or an older one, are sent away. All are taken where it is undefined. */
  readonly requiredRelease?: ReleaseStatement | undefined
}

/** What the first frame of a session says of who sent it. */
export interface Greeted {
  readonly principal: Principal
  /** The CBOR of HELLO. */
  readonly hello: Uint8Array
  /** Makes the payload of the answer from the CBOR of HELLO_OK. */
  readonly answer: (helloOk: Uint8Array) => Uint8Array
}

/** A first frame of somebody who is not taken. */
export interface Refused {
  /** Whom a certificate of this relay's CA names in it. */
  readonly subject: Subject | undefined
  readonly error: TunnelError
  /** The payload of the answer that says so. */
  readonly refusal: Uint8Array
}

/** Reads the payload of the first frame. @throws {TunnelError} PROTOCOL where it is none */
export type Greeter = (meta: Uint8Array) => Greeted | Promise<Greeted | Refused>

/** Upgrades an authenticated request and runs its session until it ends. */
export function acceptSession(
  context: AcceptContext,
  request: IncomingMessage,
  head: Buffer,
  principal: Principal,
): void {
  acceptGreeting(context, request, head, (hello) => ({ principal, hello, answer: (helloOk) => helloOk }))
}

/** Upgrades a request and runs its session, whose greeting says whose it is. */
export function acceptGreeting(
  context: AcceptContext,
  request: IncomingMessage,
  head: Buffer,
  greeter: Greeter,
): void {
  const socket = request.socket as TLSSocket
  const release = takeOverAfterHandshake(socket)
  context.webSockets.handleUpgrade(request, socket, head, () => {
    release()
    runSession(context, socket, greeter, sourceAddress(socket))
  })
}

function runSession(
  context: AcceptContext,
  socket: TLSSocket,
  greeter: Greeter,
  sourceAddress: string,
): void {
  const { effects, sessions } = context
  let { log } = context
  let live: LiveSession | undefined
  const begin = ({ principal, hello: meta, answer }: Greeted) => {
    cancelHello()
    if (session.isClosed) return
    // It was upgraded before the relay began to stop, and would be the only one that nobody ends.
    if (context.isDraining()) return link.close(new TunnelError('DRAINING'))
    log = context.log.child({ kind: principal.kind, id: principal.id })
    const hello = decodeHello(meta)
    // An agent proves itself by its certificate alone.
    const certificate = principal.kind === 'connector' ? socket.getPeerX509Certificate() : undefined
    const arrival = { principal, hello, session, sourceAddress, certificate }
    const arrived = liveSession(context, arrival, (error) => link.close(error))
    const greeting = answer(helloOk(arrived, hello.version, context))
    if (!isWelcome(arrived, context.requiredRelease)) return sendAway(arrived, greeting, context)
    live = arrived
    sessions.add(live, hello.held)
    session.greet('HELLO_OK', greeting)
    sessions.opened(live)
    context.audit(sessionEvent('session.open', live, 'OK'))
    log.info({ session: live.name, product: live.product, source: sourceAddress }, 'session opened')
  }
  const session: Session = new Session({
    role: 'relay',
    budget: context.budget,
    pingIntervalMs: jitteredInterval(PING_INTERVAL_MS, effects),
    now: effects.now(),
    handler: {
      greeted: (_type, meta) => {
        const greeted = greeter(meta)
        if (!(greeted instanceof Promise)) return begin(greeted)
        const settled = greeted.then((known) => {
          if (!('refusal' in known)) return begin(known)
          if (!session.isClosed) session.greet('HELLO_OK', known.refusal)
          throw noteRefused(known, sourceAddress, context)
        })
        settled.catch((error: unknown) => {
          link.close(isTunnelError(error) ? error : new TunnelError('INTERNAL', '', { cause: error }))
        })
      },
      opening: (frame) => {
        if (live?.principal.kind !== 'connector') {
          throw new TunnelError('DENIED_BY_RELAY', 'agents open no streams')
        }
        context.opening(frame, live)
      },
      goAway: () => undefined,
      notice: (meta) => {
        if (live !== undefined) hear(context, live, meta)
      },
      wake: () => link.wake(),
    },
  })
  const link: SessionSocket = new SessionSocket({
    socket,
    session,
    isClient: false,
    mask: 'zero',
    effects,
    onClosed: (error) => {
      cancelHello()
      const cause = isTunnelError(error.cause) ? error.cause : error
      if (live !== undefined) sessions.remove(live, cause.code)
      if (live !== undefined) context.audit(sessionEvent('session.close', live, cause.code))
      log.info(
        { session: live?.name, code: cause.code, detail: cause.detail, err: error.cause },
        'session closed',
      )
    },
  })
  const cancelHello = effects.after(HELLO_TIMEOUT_MS, () =>
    link.close(new TunnelError('OPEN_TIMEOUT', 'no HELLO')),
  )
}

function hear(context: AcceptContext, live: LiveSession, notice: Uint8Array): void {
  if (live.principal.kind === 'agent') context.sessions.hear(live, notice)
  else hearToken(context, live, notice)
}

function noteRefused(
  { subject, error }: Refused,
  source: string,
  { audit, effects }: AcceptContext,
): TunnelError {
  const traceId = effects.randomBytes(16).toString('hex')
  const refusal = { outcome: error.code, detail: error.detail }
  audit(refusalEvent(subject, refusal, { source, object: SIGNED_AGENT_PATH, traceId }))
  return error
}

interface Arrival {
  readonly principal: Principal
  readonly hello: Hello
  readonly session: Session
  readonly sourceAddress: string
  readonly certificate: X509Certificate | undefined
}

function liveSession(
  { effects, sessions }: AcceptContext,
  arrival: Arrival,
  close: LiveSession['close'],
): LiveSession {
  const { principal, hello, session, sourceAddress, certificate } = arrival
  return {
    name: effects.randomBytes(8).toString('hex'),
    principal,
    session,
    instance: Buffer.from(hello.instance).toString('hex'),
    product: hello.product,
    release: hello.release,
    sourceAddress,
    certificate,
    connectedAt: effects.date(),
    generation: sessions.nextGeneration(),
    linkKey: hello.capabilities.includes(LINKS_CAPABILITY) ? effects.randomBytes(LINK_KEY_BYTES) : undefined,
    health: createHealth(),
    close,
  }
}

/** What an agent states cannot be checked from here: this keeps out what was forgotten, not what lies. */
function isWelcome({ principal, release }: LiveSession, required: ReleaseStatement | undefined): boolean {
  return principal.kind !== 'agent' || required === undefined || isStatedAtLeast(release, required)
}

function sendAway(arrived: LiveSession, greeting: Uint8Array, { audit, log }: AcceptContext): void {
  const { principal, sourceAddress, name, product, release = 'unsigned' } = arrived
  const refusal = { outcome: 'OUTDATED' as const, detail: `${product}, ${release}` }
  audit(refusalEvent(principal, refusal, { source: sourceAddress, object: '/v1/agent', traceId: name }))
  log.info({ id: principal.id, product, release, source: sourceAddress }, 'agent of another release refused')
  arrived.session.greet('HELLO_OK', greeting)
  arrived.session.goAway('OUTDATED', 0)
  arrived.close(new TunnelError('OUTDATED'))
}

function helloOk(live: LiveSession, version: number, { effects, sessions }: AcceptContext): Uint8Array {
  return encodeHelloOk({
    version,
    capabilities: live.linkKey === undefined ? [] : [LINKS_CAPABILITY],
    session: live.name,
    generation: live.generation,
    pingIntervalMs: PING_INTERVAL_MS,
    clock: effects.date(),
    instance: sessions.instance,
    ...(live.linkKey === undefined ? {} : { linkKey: live.linkKey }),
  })
}
