import { API_PREFIX } from '../api/routes.ts'
import { TOKEN_PATH } from './token-path.ts'
import type { MachineTokens } from './tokens.ts'

/** Where an OAuth 2 library looks first (RFC 8414 section 3). */
export const DISCOVERY_PATH = '/.well-known/oauth-authorization-server'

/** What an OAuth 2 library has to know of the relay. */
export function discovery({ issuer }: Pick<MachineTokens, 'issuer'>): object {
  return {
    issuer,
    token_endpoint: `${issuer}${API_PREFIX}${TOKEN_PATH}`,
    grant_types_supported: ['client_credentials'],
    token_endpoint_auth_methods_supported: ['client_secret_basic', 'client_secret_post'],
    // No grant that begins in a browser.
    response_types_supported: [],
    tls_client_certificate_bound_access_tokens: true,
  }
}
