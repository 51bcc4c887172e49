import * as v from 'valibot'
import { type ErrorCode, errorEntry, isTunnelError, TunnelError } from '../../shared/errors.ts'
import { problemOf } from '../../shared/http/problem.ts'
import { type OpenAnswer, type OpenRequest, openRoute } from '../api/open-route.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import { clientOf } from './client.ts'
import { type ClientCredentials, CREDENTIAL_MAX_LENGTH, clientCredentials } from './client-credentials.ts'
import { TOKEN_LIFE_S } from './token-life.ts'
import { TOKEN_PATH } from './token-path.ts'

const text = v.pipe(v.string(), v.maxLength(CREDENTIAL_MAX_LENGTH))

/** What else a client sends, such as a scope, is nothing to us (RFC 6749 section 3.2). */
const input = v.object({
  grant_type: text,
  client_id: v.optional(text),
  client_secret: v.optional(text),
})

const tokenAnswer = v.object({
  access_token: v.string(),
  token_type: v.literal('Bearer'),
  expires_in: v.number(),
})

/** A problem document that is also what RFC 6749 section 5.2 says, so that any library understands it. */
const refusal = v.looseObject({ error: v.string(), error_description: v.string() })

/** The names of RFC 6749 section 5.2. */
const OAUTH_ERRORS: Partial<Record<ErrorCode, string>> = {
  LOGIN: 'invalid_client',
  INPUT: 'invalid_request',
  IDENTITY: 'invalid_request',
  HTTP_BAD_REQUEST: 'unsupported_grant_type',
  RESTRICTED: 'unauthorized_client',
}

/** OAuth 2 client credentials (RFC 6749 section 4.4). */
export const tokenRoute = openRoute({
  name: 'machine.token',
  summary: 'give a machine or a connector a token for its secret',
  http: { method: 'POST', path: TOKEN_PATH },
  authentication: 'client id and client secret, by Basic or in the body',
  body: 'form',
  refusalType: 'application/json',
  input,
  output: v.union([tokenAnswer, refusal]),
  async answer(request) {
    try {
      return { body: await tokenFor(request) }
    } catch (error) {
      if (!isTunnelError(error)) throw error
      const name = OAUTH_ERRORS[error.code]
      if (name === undefined) throw error
      return refused(name, error, request)
    }
  },
})

type TokenRequest = OpenRequest<v.InferOutput<typeof input>>

async function tokenFor(request: TokenRequest): Promise<v.InferOutput<typeof tokenAnswer>> {
  const { relay, origin, presented } = request
  if (request.input.grant_type !== 'client_credentials') {
    throw new TunnelError('HTTP_BAD_REQUEST', 'The grant_type is client_credentials.')
  }
  const client = await knownClient(request, clientCredentials(presented, request.input))
  const { source, certificate, shown } = origin
  if (client.kind === 'machine') {
    relay.enforcement.checkLogin(client.tenantId, client.id, { address: source, certificate })
  } else if (shown === undefined) {
    const next = 'show a client certificate in TLS, one of your own making'
    throw new TunnelError('IDENTITY', 'The token of a connector is bound to a certificate.', { next })
  }
  const token = await relay.machineTokens.issue(client, shown)
  return { access_token: token.reveal(), token_type: 'Bearer', expires_in: TOKEN_LIFE_S }
}

/** @throws {TunnelError} LOGIN */
async function knownClient({ relay, origin }: TokenRequest, { id, secret }: ClientCredentials) {
  const client = await clientOf(relay.authority, id, secret)
  relay.trail.audit({
    ...{ action: 'machine.token', object: id, outcome: client === undefined ? 'LOGIN' : 'OK' },
    // Whose it is that does not hold, nobody knows.
    tenantId: client?.tenantId ?? RELAY_CHAIN,
    actor: client === undefined ? { kind: 'nobody', id: '' } : { kind: client.kind, id: client.id },
    ...{ source: origin.source, traceId: origin.traceId },
  })
  if (client !== undefined) return client
  throw new TunnelError('LOGIN', 'The client is unknown or revoked, or its secret is wrong.')
}

function refused(
  name: string,
  error: TunnelError,
  { origin, presented }: TokenRequest,
): OpenAnswer<v.InferOutput<typeof refusal>> {
  return {
    status: errorEntry(error.code).http,
    body: { error: name, error_description: error.detail, ...problemOf(error, origin.traceId) },
    ...(presented?.kind === 'basic' ? { challenge: 'Basic realm="sallyport"' } : {}),
  }
}
