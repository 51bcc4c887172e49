import { TunnelError } from '../../shared/errors.ts'
import type { Authenticator } from '../api/caller.ts'
import type { Relay } from '../relay.ts'
import { isJwt } from './tokens.ts'

/** Knows the tokens of machines. The machine is looked up each time, so one that is revoked is of no use at once. */
export function machineAuthenticator({ authority, machineTokens }: Relay): Authenticator {
  return async ({ kind, secret, origin }) => {
    const text = secret.reveal()
    if (kind !== 'bearer' || !isJwt(text)) return undefined
    const { tenantId, id } = await machineTokens.verify('machine', text, origin.shown)
    const machine = await authority.store.findMachine(tenantId, id)
    if (machine === undefined || machine.revokedAt !== undefined || authority.closed.has(tenantId)) {
      throw new TunnelError('LOGIN', 'The token does not hold, or is over.')
    }
    return {
      ...{ kind: 'machine', id, tenantId, via: 'api' },
      assignments: [machine.assignment],
      // Nobody is there to be asked again.
      authenticatedAt: 0,
    }
  }
}
