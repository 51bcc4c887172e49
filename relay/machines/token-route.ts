import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { openRoute } from '../api/open-route.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import { clientOf } from './client.ts'
import { TOKEN_LIFE_S } from './token-life.ts'

const text = v.pipe(v.string(), v.maxLength(256))

/** OAuth 2 client credentials (RFC 6749 section 4.4), the credentials in the body (section 2.3.1). */
export const tokenRoute = openRoute({
  name: 'machine.token',
  summary: 'give a machine or a connector a token for its secret',
  http: { method: 'POST', path: '/oauth/token' },
  authentication: 'client_id and client_secret in the body',
  body: 'form',
  input: v.object({ grant_type: v.literal('client_credentials'), client_id: text, client_secret: text }),
  output: v.object({ access_token: v.string(), token_type: v.literal('Bearer'), expires_in: v.number() }),
  async answer({ relay, input, origin }) {
    const { authority, machineTokens, trail } = relay
    const { shown, source, traceId } = origin
    const client = await clientOf(authority, input.client_id, input.client_secret)
    trail.audit({
      ...{ action: 'machine.token', object: input.client_id, outcome: client === undefined ? 'LOGIN' : 'OK' },
      // Whose it is that does not hold, nobody knows.
      tenantId: client?.tenantId ?? RELAY_CHAIN,
      actor: client === undefined ? { kind: 'nobody', id: '' } : { kind: client.kind, id: client.id },
      ...{ source, traceId },
    })
    if (client === undefined) {
      throw new TunnelError('LOGIN', 'The client is unknown or revoked, or its secret is wrong.')
    }
    if (client.kind === 'machine') {
      relay.enforcement.checkLogin(client.tenantId, client.id, {
        address: source,
        certificate: origin.certificate,
      })
    } else if (shown === undefined) {
      const next = 'show a client certificate in TLS, one of your own making'
      throw new TunnelError('IDENTITY', 'The token of a connector is bound to a certificate.', { next })
    }
    const token = await machineTokens.issue(client, shown)
    return {
      body: { access_token: token.reveal(), token_type: 'Bearer' as const, expires_in: TOKEN_LIFE_S },
    }
  },
})
