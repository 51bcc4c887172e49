import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer, type ServerOptions } from 'node:https'
import type { AddressInfo } from 'node:net'
import type { TestContext } from 'node:test'
import type { TLSSocket } from 'node:tls'
import { openAuthority } from '../../relay/authority/authority.ts'
import type { AuthorityContext } from '../../relay/authority/context.ts'
import { enroll, renew } from '../../relay/authority/enroll.ts'
import { createJoinString } from '../../relay/authority/invite.ts'
import { ensureServerCertificate } from '../../relay/authority/server-certificate.ts'
import { type Effects, realEffects } from '../../shared/effects.ts'
import { ERRORS, isTunnelError } from '../../shared/errors.ts'
import { ENROLL_PATH } from '../../shared/identity/enrollment-messages.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import { temporaryDirectory } from '../relay/store/store-fixture.ts'
import { actAt } from '../support/acts.ts'

/** A relay that knows nothing but enrolment and renewal. */
export interface TestRelay {
  readonly context: AuthorityContext
  /** Where agents enrol. */
  readonly address: RelayAddress
  /** Where they renew: this listener insists on a client certificate, the other asks for none. */
  readonly renewAddress: RelayAddress
  readonly directory: string
  /** The paths of the requests so far. */
  readonly requests: string[]
  /** A join string for the site `berlin`. */
  invite(changes?: { addresses?: readonly RelayAddress[]; serverName?: string }): Promise<string>
}

type Listener = (request: IncomingMessage, response: ServerResponse) => void

/** Listens with TLS on a free port of the loopback interface until the test ends. */
export async function listen(
  t: TestContext,
  options: ServerOptions,
  listener: Listener,
): Promise<RelayAddress> {
  const server = createServer(options, listener)
  // What a peer does to its own connection is no fault of the test.
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    server.closeAllConnections()
    server.close()
  })
  return { host: '127.0.0.1', port: (server.address() as AddressInfo).port }
}

export async function startRelay(t: TestContext, effects: Effects = realEffects): Promise<TestRelay> {
  const directory = await temporaryDirectory(t)
  const context = await openAuthority({ directory, effects })
  t.after(() => context.store[Symbol.asyncDispose]())
  const server = await ensureServerCertificate(directory, context.authority, ['relay.test'], effects)
  const requests: string[] = []
  const tls = { key: server.key.reveal(), cert: server.chain, minVersion: 'TLSv1.3' } as const
  const listener: Listener = (request, response) => {
    requests.push(request.url ?? '')
    void answer(context, request, response)
  }
  const address = await listen(t, tls, listener)
  const ca = context.authority.certificate.toString()
  const renewAddress = await listen(t, { ...tls, ca, requestCert: true }, listener)
  return {
    context,
    address,
    renewAddress,
    directory,
    requests,
    invite: async (changes = {}) => {
      const location = { addresses: [address], serverName: 'relay.test', ...changes }
      const { text } = await createJoinString(
        context,
        'default',
        { ...location, environment: 'production', site: 'berlin' },
        actAt(context.effects.date()),
      )
      return text.reveal()
    },
  }
}

async function answer(
  context: AuthorityContext,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  let status = 200
  let content: unknown
  try {
    content = await handle(context, request)
  } catch (err) {
    if (!isTunnelError(err)) throw err
    status = ERRORS[err.code].http
    content = { type: `urn:sallyport:problem:${err.code}`, code: err.code, detail: err.detail }
  }
  response.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(content))
}

async function handle(context: AuthorityContext, request: IncomingMessage): Promise<unknown> {
  const chunks = await request.toArray()
  const body: unknown = JSON.parse(Buffer.concat(chunks).toString())
  const origin = { sourceAddress: '127.0.0.1', traceId: 'f'.repeat(32) }
  if (request.url === ENROLL_PATH) {
    return enroll(context, body, origin)
  }
  const socket = request.socket as TLSSocket
  const peer = { certificate: socket.getPeerX509Certificate(), authorized: socket.authorized }
  return renew(context, body, peer, origin)
}
