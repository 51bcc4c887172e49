import { keyAuthenticator } from '../people/keys.ts'
import { sessionAuthenticator } from '../people/sessions.ts'
import type { Relay } from '../relay.ts'
import type { Authenticator } from './caller.ts'

/** Every kind of session and token that the API takes. Who makes one adds its line here. */
export function authenticatorsOf(relay: Relay): readonly Authenticator[] {
  const { people } = relay
  const all = [sessionAuthenticator(people), keyAuthenticator(people)]
  return all.map((authenticate) => restricted(relay, authenticate))
}

/** Whoever has logged in must come from where he may at each request, too. */
function restricted({ enforcement }: Relay, authenticate: Authenticator): Authenticator {
  return async (presented) => {
    const caller = await authenticate(presented)
    const { source: address, certificate } = presented.origin
    if (caller !== undefined) enforcement.checkLogin(caller.tenantId, caller.id, { address, certificate })
    return caller
  }
}
