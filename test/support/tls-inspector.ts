import type { AddressInfo } from 'node:net'
import tls from 'node:tls'
import { createAuthority } from '../../relay/authority/certificate-authority.ts'
import { ensureServerCertificate } from '../../relay/authority/server-certificate.ts'
import { realEffects } from '../../shared/effects.ts'
import { fingerprint } from '../../shared/identity/keys.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'

/** What stands between an agent and its relay, ends TLS on both sides and reads all that passes. */
export interface TlsInspector extends AsyncDisposable {
  readonly address: RelayAddress
  /** PEM of its CA. */
  readonly ca: string
  /** Of its CA's key: what a site would accept. */
  readonly fingerprint: string
  /** What passed so far, in the clear, of all connections. */
  readonly seen: { readonly toRelay: Buffer[]; readonly toAgent: Buffer[] }
  /** Changes what goes to the relay. */
  rewrite: (toRelay: Buffer) => Buffer
}

/** @param directory private; holds the inspector's CA @param relayCa PEM, which it trusts upstream */
export async function startInspector(
  directory: string,
  relay: RelayAddress,
  relayCa: string,
): Promise<TlsInspector> {
  const authority = await createAuthority(`${directory}/ca`, realEffects)
  const serving = await ensureServerCertificate(`${directory}/tls`, authority, [relay.host], realEffects)
  const sockets = new Set<tls.TLSSocket>()
  const seen: { toRelay: Buffer[]; toAgent: Buffer[] } = { toRelay: [], toAgent: [] }
  const options = { key: serving.key.reveal(), cert: serving.chain, ALPNProtocols: ['http/1.1'] }
  const server = tls.createServer(options, (client) => {
    // No client certificate: its key stays with the agent.
    const upstream = tls.connect({ ...relay, ca: relayCa, ALPNProtocols: ['http/1.1'] })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => undefined)
    }
    client.on('data', (chunk: Buffer) => {
      seen.toRelay.push(chunk)
      upstream.write(inspector.rewrite(chunk))
    })
    upstream.on('data', (chunk: Buffer) => {
      seen.toAgent.push(chunk)
      client.write(chunk)
    })
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.end())
  })
  server.on('tlsClientError', () => undefined)
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as AddressInfo
  const inspector: TlsInspector = {
    address: { host: '127.0.0.1', port },
    ca: authority.certificate.toString(),
    fingerprint: fingerprint(authority.certificate),
    seen,
    rewrite: (chunk) => chunk,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return inspector
}
