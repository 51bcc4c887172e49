import type { ErrorCode, TunnelError } from '../errors.ts'
import type { DataSource } from './scheduler.ts'

/** What a stream tells its owner. Calls come while bytes are being received: they must not throw and must not block. */
export interface StreamHandler {
  /** The far end accepted: `meta` is the CBOR of OPEN_OK. Opener only. */
  opened(meta: Uint8Array): void
  /**
   * The next bytes in order. They are good for this call only: the handler copies what it keeps, and says `consume` when
   * they have gone on.
   */
  data(bytes: Uint8Array): void
  /** The far end sent FIN and everything before it was handed on. */
  ended(): void
  /** `room` is positive again. */
  writable(): void
  /** The far end reads no more; what is written from now on is dropped. */
  stopped(code: ErrorCode): void
  /** The stream is over, once: null where both directions ended cleanly. */
  closed(error: TunnelError | null): void
}

/** Something that may owe a CREDIT when the link has room for one. */
export interface CreditSource {
  /** The CREDIT frame that is due, or undefined where it no longer is. */
  takeCredit(now: number): Uint8Array | undefined
}

/** A stream, as the session that carries it knows it. */
export interface Carried extends DataSource, CreditSource {
  readonly id: number
}

/** What a stream needs of the session that carries it. */
export interface StreamCarrier {
  /** Sends a control frame. */
  control(bytes: Uint8Array): void
  /** The stream has data to send. */
  ready(source: DataSource): void
  /** The stream owes a CREDIT: `takeCredit` will be called when there is room for it. */
  creditDue(source: CreditSource): void
  /** The stream is over. */
  remove(stream: Carried): void
  /** The stream goes on elsewhere: nothing of it may leave here any more. */
  forget(stream: Carried): void
}
