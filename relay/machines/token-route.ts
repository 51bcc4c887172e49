import { timingSafeEqual } from 'node:crypto'
import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { openRoute } from '../api/open-route.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import { parseToken } from '../people/token.ts'
import { TOKEN_LIFE_S } from './tokens.ts'

const text = v.pipe(v.string(), v.maxLength(256))

/** OAuth 2 client credentials (RFC 6749 section 4.4), the credentials in the body (section 2.3.1). */
export const tokenRoute = openRoute({
  name: 'machine.token',
  summary: 'give a machine a token for its secret',
  http: { method: 'POST', path: '/oauth/token' },
  authentication: 'client_id and client_secret in the body',
  body: 'form',
  input: v.object({ grant_type: v.literal('client_credentials'), client_id: text, client_secret: text }),
  output: v.object({ access_token: v.string(), token_type: v.literal('Bearer'), expires_in: v.number() }),
  async answer({ relay, input, origin }) {
    const { authority, machineTokens, trail } = relay
    const id = input.client_id
    const secret = parseToken('machine', input.client_secret)
    const machine = secret && (await authority.store.findMachine(secret.tenantId, id))
    const isRight =
      secret !== undefined &&
      machine !== undefined &&
      timingSafeEqual(machine.hash, secret.hash) &&
      machine.revokedAt === undefined &&
      !authority.closed.has(secret.tenantId)
    trail.audit({
      ...{ action: 'machine.token', object: id, outcome: isRight ? 'OK' : 'LOGIN' },
      // Whose it is that does not hold, nobody knows.
      tenantId: isRight ? secret.tenantId : RELAY_CHAIN,
      actor: isRight ? { kind: 'machine', id } : { kind: 'nobody', id: '' },
      ...{ source: origin.source, traceId: origin.traceId },
    })
    if (!isRight) throw new TunnelError('LOGIN', 'The client is unknown or revoked, or its secret is wrong.')
    const peer = { address: origin.source, certificate: origin.certificate }
    relay.enforcement.checkLogin(secret.tenantId, id, peer)
    const token = await machineTokens.issue({ tenantId: secret.tenantId, id }, origin.certificate)
    return {
      body: { access_token: token.reveal(), token_type: 'Bearer' as const, expires_in: TOKEN_LIFE_S },
    }
  },
})
