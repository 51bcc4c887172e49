import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import type { Proof } from './proof.ts'

/** The certificate of the credentials. */
export function certificateProof({ certificate, key }: ConnectorCredentials): Proof {
  return {
    shown: { certificate, key },
    ready: async () => undefined,
    replace: async () => false,
    keep: async () => undefined,
  }
}
