import { generateKeyPairSync } from 'node:crypto'
import { once } from 'node:events'
import https from 'node:https'
import type { AddressInfo } from 'node:net'
import { exportJWK, importJWK, type JWK, type JWTPayload, SignJWT, UnsecuredJWT } from 'jose'
import { Provider } from 'oidc-provider'
import { generate } from 'selfsigned'
import { Browser } from './browser.ts'

const CLIENT = { id: 'sallyport', secret: 'a secret of the client, long enough' } as const

/** Changes an ID token on its way, as a broken or hostile provider would write it. */
export type Forge = (claims: JWTPayload) => { claims: JWTPayload; how?: 'unsigned' | 'other key' }

/** A certified OpenID provider of other people, by HTTPS, on this machine. */
export interface TestIdp extends AsyncDisposable {
  readonly issuer: string
  readonly host: string
  /** PEM of its certificate. */
  readonly ca: string
  readonly client: typeof CLIENT
  /** Who logs in next, and what is said of him beside `sub`. */
  account: { readonly sub: string; readonly [claim: string]: unknown }
  /** In the place of what the provider says; undefined: nothing is changed. */
  forge: Forge | undefined
  /** Errors of logout tokens that could not be delivered. */
  readonly failures: unknown[]
  /** Logout tokens that it has sent. */
  readonly logoutTokens: string[]
  /** Signs anything as the provider. */
  sign(claims: object, header?: { typ?: string }): Promise<string>
}

/** @param hostname resolves to this machine for who is told so @param relay where the relay will be */
export async function startIdp(
  hostname: string,
  relay: { origin: string; ca: string },
  paths: string,
): Promise<TestIdp> {
  const { private: key, cert } = await generate([{ name: 'commonName', value: hostname }], {
    keyType: 'ec',
    extensions: [
      { name: 'basicConstraints', cA: true },
      { name: 'subjectAltName', altNames: [{ type: 2, value: hostname }] },
    ],
  })
  const jwk: JWK = {
    ...(await exportJWK(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)),
    ...{ kid: 'one', alg: 'ES256', use: 'sig' },
  }
  const server = https.createServer({ key, cert })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const host = `${hostname}:${(server.address() as AddressInfo).port}`
  const issuer = `https://${host}`
  const messenger = new Browser([relay.ca])
  const failures: unknown[] = []
  const logoutTokens: string[] = []
  const provider = new Provider(issuer, {
    ...configuration(jwk, `${relay.origin}${paths}`, relay.origin),
    findAccount: (_context: unknown, sub: string) => ({ accountId: sub, claims: () => idp.account }),
    fetch: async (url: string | URL, { body }: { body: URLSearchParams | string }) => {
      const form = Object.fromEntries(new URLSearchParams(String(body)))
      logoutTokens.push(form.logout_token ?? '')
      const { status } = await messenger.visit(url, { form })
      return new Response(null, { status })
    },
    loadExistingGrant: async ({
      oidc,
    }: {
      oidc: { client: { clientId: string }; session: { accountId: string } }
    }) => {
      const grant = new provider.Grant({ accountId: oidc.session.accountId, clientId: oidc.client.clientId })
      grant.addOIDCScope('openid email profile groups')
      await grant.save()
      return grant
    },
  })
  provider.on('backchannel.error', (_context, error) => failures.push(error))
  provider.use(async (context, next) => {
    await next()
    const { id_token } = context.body ?? {}
    if (context.path === '/token' && typeof id_token === 'string' && idp.forge !== undefined) {
      context.body = { ...context.body, id_token: await forged(jwk, id_token, idp.forge) }
    }
  })
  const answer = provider.callback()
  server.on('request', (request, response) => {
    if (!(request.url ?? '').startsWith('/interaction/')) return answer(request, response)
    // Whoever comes is logged in as the account of the moment.
    return provider.interactionFinished(request, response, { login: { accountId: idp.account.sub } })
  })
  const idp: TestIdp = {
    ...{ issuer, host, ca: cert, client: CLIENT, failures, logoutTokens },
    account: { sub: '0042', email: 'ann@example.org', email_verified: true, groups: ['ops'] },
    forge: undefined,
    sign: async (claims, header = {}) =>
      new SignJWT({ ...claims })
        .setProtectedHeader({ alg: 'ES256', kid: 'one', ...header })
        .sign(await importJWK(jwk)),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      server.close()
    },
  }
  return idp
}

function configuration(jwk: JWK, routes: string, origin: string): object {
  const client = {
    ...{ client_id: CLIENT.id, client_secret: CLIENT.secret, id_token_signed_response_alg: 'ES256' },
    ...{
      redirect_uris: [`${routes}/callback`],
      grant_types: ['authorization_code'],
      response_types: ['code'],
    },
    ...{ backchannel_logout_uri: `${routes}/backchannel-logout`, backchannel_logout_session_required: true },
    post_logout_redirect_uris: [`${origin}/`],
  }
  return {
    clients: [client],
    jwks: { keys: [jwk] },
    claims: { openid: ['sub'], email: ['email', 'email_verified'], groups: ['groups'] },
    scopes: ['openid', 'email', 'profile', 'groups'],
    conformIdTokenClaims: false,
    pkce: { required: () => true },
    cookies: { keys: ['a key for cookies of a test'] },
    interactions: { url: (_context: unknown, { uid }: { uid: string }) => `/interaction/${uid}` },
    features: {
      devInteractions: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: { enabled: true },
      userinfo: { enabled: true },
    },
    enabledJWA: { idTokenSigningAlgValues: ['ES256'] },
  }
}

async function forged(jwk: JWK, token: string, forge: Forge): Promise<string> {
  const given = JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()) as JWTPayload
  const { claims, how } = forge(given)
  if (how === 'unsigned') return new UnsecuredJWT(claims).encode()
  const other = generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey
  const key = how === 'other key' ? other : await importJWK(jwk)
  return new SignJWT(claims).setProtectedHeader({ alg: 'ES256', kid: 'one' }).sign(key)
}
