import type { ErrorCode, TunnelError } from '../errors.ts'
import type { Attention } from './attention.ts'
import { type ControlFrame, FLAG, type StreamFrame } from './frame.ts'
import type { WindowBudget } from './window.ts'

export type OpenFrame = Extract<ControlFrame, { type: 'OPEN' }>
export type GoAwayFrame = Extract<ControlFrame, { type: 'GOAWAY' }>

/** What stands behind a stream id: an endpoint's stream, or the relay's route to another session. */
export interface StreamEntry {
  /** @throws {TunnelError} for which this stream alone is reset */
  receiveData(offset: number, bytes: Uint8Array, flags: number, now: number): void
  /** @throws {TunnelError} for which this stream alone is reset */
  receiveControl(frame: StreamFrame, now: number): void
  /** The session is gone, another may take its place. */
  lose(error: TunnelError): void
  /** The session is gone for good. */
  giveUp(error: TunnelError): void
  /** Resets towards the peer of this session. */
  reset(code: ErrorCode, detail?: string): void
  /** Called every few seconds. */
  sweep(now: number): void
}

export interface SessionHandler {
  /** HELLO or HELLO_OK, once, before anything else. @throws {TunnelError} which ends the session */
  greeted(type: 'HELLO' | 'HELLO_OK', meta: Uint8Array): void
  /**
   * The peer opens a stream: put something behind its id, by `admit` (an endpoint) or `place` (a route).
   * @throws {TunnelError} which goes back as RESET; nothing was dialled
   */
  opening(frame: OpenFrame): void
  goAway(frame: GoAwayFrame): void
  /**
   * NOTICE: what the peer would like to be known. Who leaves it out ignores
   * all of them. @throws {TunnelError} which ends the session
   */
  notice?(meta: Uint8Array): void
  /** Agent and connector only: so many links should there be now, 1 to 16. Who leaves it out stays with one. */
  links?(wanted: number): void
  /** There is something to transmit. May be called many times a turn. */
  wake(): void
}

export interface SessionOptions {
  /** The relay opens even ids, agent and connector odd ones. */
  readonly role: 'relay' | 'peer'
  readonly handler: SessionHandler
  readonly budget: WindowBudget
  /** See Session.attention; its own by default. */
  readonly attention?: Attention | undefined
  readonly pingIntervalMs: number
  readonly now: number
  /** First id to open, for tests of the wrap. */
  readonly firstId?: number
}

/** True where an OPEN asks for a new path for a stream that exists already. */
export function isReattach(frame: Pick<OpenFrame, 'flags'>): boolean {
  return (frame.flags & FLAG.REATTACH) !== 0
}
