import { type ErrorCode, TunnelError, wireFromCode } from '../errors.ts'
import { encodeControl } from './encode.ts'
import type { ControlFrame } from './frame.ts'
import type { Link } from './link.ts'
import type { Links } from './links.ts'
import type { SessionHandler, SessionOptions } from './session-handler.ts'
import { SESSION_LIMITS } from './session-limits.ts'
import { TokenBucket } from './token-bucket.ts'

/** A frame that is about the session and no stream of it. */
export type LinkFrame = Extract<ControlFrame, { id: 0 }>

/** Whether a frame is about the session and no stream of it. */
export function isLinkFrame(frame: ControlFrame): frame is LinkFrame {
  return frame.id === 0
}

/** What the two ends of a session say to each other about the session itself: greeting, GOAWAY, NOTICE and LINKS. */
export class SessionTalk {
  readonly #isRelay: boolean
  readonly #handler: SessionHandler
  readonly #link: Link
  readonly #links: Links
  readonly #notices = new TokenBucket(SESSION_LIMITS.noticesPerSecond, SESSION_LIMITS.noticeBurst)
  #isGreeted = false
  #hasPeerGreeted = false
  #isDraining = false
  #peerDrains = false

  constructor({ role, handler }: Pick<SessionOptions, 'role' | 'handler'>, link: Link, links: Links) {
    this.#isRelay = role === 'relay'
    this.#handler = handler
    this.#link = link
    this.#links = links
  }

  /** True once the relay has said HELLO_OK. */
  get isGreeted(): boolean {
    return this.#isGreeted
  }

  /** True once we said GOAWAY. */
  get isDraining(): boolean {
    return this.#isDraining
  }

  /** True once the peer said GOAWAY. */
  get peerDrains(): boolean {
    return this.#peerDrains
  }

  greet(type: 'HELLO' | 'HELLO_OK', meta: Uint8Array): void {
    // Nothing may overtake it, not even a GOAWAY of the same turn.
    this.#link.sendUrgent(encodeControl({ type, id: 0, meta }))
    if (type === 'HELLO_OK') this.#isGreeted = true
  }

  /** Says GOAWAY, once. */
  goAway(frame: { code: ErrorCode; lastId: number; drainMs: number; retryAfterMs: number }): void {
    if (this.#isDraining) return
    this.#isDraining = true
    const { lastId, drainMs, retryAfterMs } = frame
    const code = wireFromCode(frame.code)
    this.#link.sendUrgent(
      encodeControl({ type: 'GOAWAY', id: 0, code, lastId, drainMs, retryAfterMs, meta: NO_BYTES }),
    )
  }

  /** We would like so many links. */
  wantLinks(wanted: number): void {
    if (this.#isRelay) this.#link.send(encodeControl({ type: 'LINKS', id: 0, wanted }))
    else this.#handler.links?.(this.#links.wanted)
  }

  /** The peer said something. @throws {TunnelError} PROTOCOL or ENHANCE_CALM, which ends the session */
  receive(frame: LinkFrame, now: number): void {
    if (frame.type === 'HELLO' || frame.type === 'HELLO_OK') {
      this.#onGreeting(frame.type, frame.meta)
      return
    }
    this.checkGreeted(frame)
    switch (frame.type) {
      case 'GOAWAY':
        this.#peerDrains = true
        this.#handler.goAway(frame)
        return
      case 'NOTICE':
        if (!this.#notices.take(now)) throw new TunnelError('ENHANCE_CALM', 'too many NOTICEs')
        this.#handler.notice?.(frame.meta)
        return
      case 'LINKS':
        if (!this.#notices.take(now)) throw new TunnelError('ENHANCE_CALM', 'too many LINKS')
        this.#links.peerWants(frame.wanted)
        if (!this.#isRelay) this.#handler.links?.(this.#links.wanted)
        return
      case 'PING':
      case 'PONG':
      case 'ACK':
        return
    }
  }

  /** @throws {TunnelError} PROTOCOL where `frame` came too early */
  checkGreeted({ type }: ControlFrame): void {
    if (!this.#isGreeted) throw new TunnelError('PROTOCOL', `${type} before the greeting`)
  }

  #onGreeting(type: 'HELLO' | 'HELLO_OK', meta: Uint8Array): void {
    const expected = this.#isRelay ? 'HELLO' : 'HELLO_OK'
    if (type !== expected || this.#hasPeerGreeted) throw new TunnelError('PROTOCOL', `an unexpected ${type}`)
    this.#hasPeerGreeted = true
    if (!this.#isRelay) this.#isGreeted = true
    this.#handler.greeted(type, meta)
  }
}

const NO_BYTES = new Uint8Array(0)
