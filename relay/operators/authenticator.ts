import type { Authenticator } from '../api/caller.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import type { Relay } from '../relay.ts'

/** Knows the tokens of the operator. They belong to no tenant, and hold nothing within any. */
export function operatorAuthenticator({ operatorTokens }: Pick<Relay, 'operatorTokens'>): Authenticator {
  return async ({ kind, secret }) => {
    const token = kind === 'bearer' ? operatorTokens.verify(secret.reveal()) : undefined
    if (token === undefined) return undefined
    const { id, createdAt } = token
    return {
      ...{ kind: 'operator-token', id, tenantId: RELAY_CHAIN, via: 'api' },
      ...{ assignments: [], authenticatedAt: createdAt },
    }
  }
}
