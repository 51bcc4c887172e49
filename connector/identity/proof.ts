import type { ClientIdentity } from '../../shared/identity/relay-tls.ts'
import type { Secret } from '../../shared/secret.ts'

/** What a connection shows of who opens it. */
export type Shown = ClientIdentity & { readonly token?: Secret<string> }

/** How a connector proves itself, as long as it runs. */
export interface Proof {
  /** What the next connection shows. Only after {@link Proof.ready} has resolved. */
  readonly shown: Shown
  /** Makes it good for the next connection. @throws {TunnelError} where the relay gives nothing to show */
  ready(signal: AbortSignal): Promise<void>
  /** The relay did not take it. @returns true where there is another now @throws {TunnelError} where there should be one */
  replace(signal: AbortSignal): Promise<boolean>
  /**
   * Keeps it good until the signal aborts; never rejects.
   * @param onNext told what the relay must hear on living sessions, as a NOTICE
   */
  keep(onNext: (notice: Uint8Array) => void, signal: AbortSignal): Promise<void>
}
