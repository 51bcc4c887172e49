import type { Effects } from '../../shared/effects.ts'
import type { Store } from '../store/store.ts'
import type { MasterKeys } from '../store/vault/master-keys.ts'
import type { CertificateAuthority } from './certificate-authority.ts'
import type { Copies } from './copies.ts'

/** What every act of the authority needs. */
export interface AuthorityContext {
  readonly store: Store
  readonly authority: CertificateAuthority
  readonly effects: Effects
  /** What wraps the keys under which secrets are sealed. */
  readonly master: MasterKeys
  /** Tenants that are being removed: who belongs to one is unknown. */
  readonly closed: Set<string>
  /** Agents of which there seem to be two. */
  readonly copies: Copies
  /** Of agents' certificates. */
  readonly agentLifetimeMs: number
  /** Of connectors' certificates. */
  readonly connectorLifetimeMs: number
}
