import type { TunnelError } from '../../shared/errors.ts'
import type { ClientIdentity } from '../../shared/identity/relay-tls.ts'
import type { Secret } from '../../shared/secret.ts'

/** What a connection shows of who opens it. */
export type Shown = ClientIdentity & { readonly token?: Secret<string> }

/** What a proof tells while it is kept good. */
export interface ProofEvents {
  /** The relay must hear it on living sessions, as a NOTICE. */
  readonly notice: (meta: Uint8Array) => void
  /** The next connection shows something else, and the living one should make room for it. */
  readonly changed: () => void
  /** It could not be renewed; it is tried again. */
  readonly failed: (error: TunnelError) => void
}

/** How a connector proves itself, as long as it runs. */
export interface Proof {
  /** What the next connection shows. Only after {@link Proof.ready} has resolved. */
  readonly shown: Shown
  /** Makes it good for the next connection. @throws {TunnelError} where the relay gives nothing to show */
  ready(signal: AbortSignal): Promise<void>
  /** The relay did not take it. @returns true where there is another now @throws {TunnelError} where there should be one */
  replace(signal: AbortSignal): Promise<boolean>
  /** Keeps it good until the signal aborts; never rejects. */
  keep(told: ProofEvents, signal: AbortSignal): Promise<void>
}
