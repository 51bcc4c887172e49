import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import type { Presented } from '../api/caller.ts'

/** Longest id and longest secret, in characters. */
export const CREDENTIAL_MAX_LENGTH = 256

export interface ClientCredentials {
  readonly id: string
  readonly secret: string
}

/**
 * Who asks for a token, by RFC 6749 section 2.3.1: in an Authorization header (`client_secret_basic`) or in the body
 * (`client_secret_post`), and never both.
 * @throws {TunnelError} LOGIN where nobody says who asks, INPUT where two do
 */
export function clientCredentials(
  presented: Presented | undefined,
  body: { readonly client_id?: string | undefined; readonly client_secret?: string | undefined },
): ClientCredentials {
  const { client_id: id, client_secret: secret } = body
  if (presented?.kind !== 'basic') {
    if (id !== undefined && secret !== undefined) return { id, secret }
    throw new TunnelError('LOGIN', 'Send client_id and client_secret, in the body or by Basic.')
  }
  const basic = decodeBasic(presented.secret)
  if (secret !== undefined || (id !== undefined && id !== basic.id)) {
    throw new TunnelError('INPUT', 'The client says twice who it is.', {
      field: 'client_id',
      rule: 'one_method',
    })
  }
  return basic
}

function decodeBasic(secret: Secret<string>): ClientCredentials {
  const [id = '', password = '', more] = Buffer.from(secret.reveal(), 'base64')
    .toString('utf8')
    .split(':')
    .map(decodeForm)
  const isShort = Math.max(id.length, password.length) <= CREDENTIAL_MAX_LENGTH
  if (more === undefined && isShort) return { id, secret: password }
  throw new TunnelError('LOGIN', 'Authorization takes Basic, the id and the secret.')
}

/** Both parts are written as in a form before Base64. What is not is no id and no secret. */
function decodeForm(text: string): string {
  return new URLSearchParams(`x=${text.replaceAll('&', '%26')}`).get('x') ?? ''
}
