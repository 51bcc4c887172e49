import { keyAuthenticator } from '../people/keys.ts'
import { sessionAuthenticator } from '../people/sessions.ts'
import type { Relay } from '../relay.ts'
import type { Authenticator } from './caller.ts'

/** Every kind of session and token that the API takes. Who makes one adds its line here. */
export function authenticatorsOf({ people }: Relay): readonly Authenticator[] {
  return [sessionAuthenticator(people), keyAuthenticator(people)]
}
