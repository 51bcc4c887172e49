import { machineAuthenticator } from '../machines/authenticator.ts'
import { operatorAuthenticator } from '../operators/authenticator.ts'
import { keyAuthenticator } from '../people/keys.ts'
import { sessionAuthenticator } from '../people/sessions.ts'
import type { Relay } from '../relay.ts'
import { withSupport } from '../support/with-support.ts'
import type { Authenticator } from './caller.ts'

/** Every kind of session and token that the API takes. Who makes one adds its line here. */
export function authenticatorsOf(relay: Relay): readonly Authenticator[] {
  const { people } = relay
  const all = [sessionAuthenticator(people), keyAuthenticator(people), machineAuthenticator(relay)]
  return [operatorAuthenticator(relay), ...all.map((authenticate) => known(relay, authenticate))]
}

/** Whoever has logged in must come from where he may at each request, too, and has what support access gives now. */
function known(relay: Relay, authenticate: Authenticator): Authenticator {
  return async (presented) => {
    const caller = await authenticate(presented)
    if (caller === undefined) return undefined
    const { origin } = presented
    const peer = { address: origin.source, certificate: origin.certificate }
    relay.enforcement.checkLogin(caller.tenantId, caller.id, peer)
    return withSupport(relay, caller, origin)
  }
}
