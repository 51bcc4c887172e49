import { TunnelError } from '../errors.ts'
import { SESSION_LIMITS } from './session-limits.ts'

/**
 * The numbers of a session's streams (docs/protocol.md section 3): the relay opens even ones, agent and connector odd ones,
 * each in rising order and none twice.
 */
export class StreamIds {
  readonly #ourParity: number
  #next: number
  #lastOfPeer = 0

  /** `firstId`: the first one to open, for tests of the end of the numbers. */
  constructor(role: 'relay' | 'peer', firstId?: number) {
    this.#ourParity = role === 'relay' ? 0 : 1
    this.#next = firstId ?? (role === 'relay' ? 2 : 1)
  }

  /** The last one that the peer opened; 0 before the first. */
  get lastOfPeer(): number {
    return this.#lastOfPeer
  }

  /** True where the numbers will run out. */
  get areShort(): boolean {
    return this.#next >= SESSION_LIMITS.rollAtId
  }

  /** The number for a stream that we open. @throws {TunnelError} DRAINING where there is none left */
  take(): number {
    const id = this.#next
    if (id > SESSION_LIMITS.lastId) throw new TunnelError('DRAINING', 'stream ids have run out')
    this.#next += 2
    return id
  }

  /** Books an OPEN of the peer. @throws {TunnelError} PROTOCOL where the number is not its next */
  book(id: number): void {
    if (this.isOurs(id) || id <= this.#lastOfPeer || id > SESSION_LIMITS.lastId) {
      throw new TunnelError('PROTOCOL', `OPEN with id ${id} after ${this.#lastOfPeer}`)
    }
    this.#lastOfPeer = id
  }

  isOurs(id: number): boolean {
    return id % 2 === this.#ourParity
  }

  /** Frames of a stream that is over are late, not wrong. @throws {TunnelError} PROTOCOL for one that never was */
  check(id: number): void {
    if (this.isOurs(id) ? id >= this.#next : id > this.#lastOfPeer) {
      throw new TunnelError('PROTOCOL', `stream ${id} was never opened`)
    }
  }
}
