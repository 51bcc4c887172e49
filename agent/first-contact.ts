import type { X509Certificate } from 'node:crypto'
import { connect, type TLSSocket } from 'node:tls'
import { TunnelError } from '../shared/errors.ts'
import { spkiHash } from '../shared/identity/keys.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import { relayConnectError, relayHandshakeOptions } from '../shared/identity/relay-tls.ts'

/** Longest chain that is looked at; ours has two certificates. */
const CHAIN_MAX = 8

export interface FirstContact {
  readonly address: RelayAddress
  readonly serverName: string
  /** SPKI hash of the CA, from the join string. */
  readonly caPin: Buffer
  /** Also carries the deadline. */
  readonly signal: AbortSignal
}

/**
 * Gets the CA certificate that a join string pins by its hash from the relay's own handshake.
 *
 * Verification stays on, and since the CA is not known yet it fails and ends the connection, which is right: nothing
 * is ever sent on it. Before that happens the chain is read. Whoever is in the way can show any chain, but none with
 * a CA of that hash whose key he has; so the next connection, verified against this CA, reaches the relay or nobody.
 *
 * @returns PEM of the CA
 * @throws {TunnelError} RELAY_IDENTITY where the chain has no such CA, naming the issuer that was seen;
 * RELAY_UNREACHABLE
 */
export async function fetchPinnedCa(contact: FirstContact): Promise<string> {
  const chain = await readChain(contact)
  const pinned = chain.find((certificate) => isPinned(certificate, contact.caPin))
  if (pinned !== undefined) return pinned.toString()
  const issuer = (chain[0]?.issuer ?? 'nobody').replaceAll(/[^ -~]+/g, ', ').slice(0, 200)
  throw new TunnelError(
    'RELAY_IDENTITY',
    `${formatRelayAddress(contact.address)} shows a certificate of: ${issuer}.`,
  )
}

function isPinned(certificate: X509Certificate, pin: Buffer): boolean {
  // The signature by its own key says that the rest of the certificate, too, comes from the owner of the key.
  return certificate.ca && spkiHash(certificate).equals(pin) && certificate.verify(certificate.publicKey)
}

async function readChain({ address, serverName, signal }: FirstContact): Promise<X509Certificate[]> {
  const { promise, resolve, reject } = Promise.withResolvers<X509Certificate[]>()
  signal.throwIfAborted()
  const socket = connect({ ...relayHandshakeOptions(serverName), host: address.host, port: address.port })
  const onAbort = () => socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  // 'secure' is the end of the handshake. Node's own listener for it verifies the chain and takes the socket down, so
  // ours must come before.
  socket.prependListener('secure', () => {
    try {
      resolve(presentedChain(socket))
    } catch (err) {
      reject(err as Error)
    }
  })
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('closed')))
  try {
    return await promise
  } catch (err) {
    throw relayConnectError(err, address)
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
  }
}

function presentedChain(socket: TLSSocket): X509Certificate[] {
  const chain: X509Certificate[] = []
  let next = socket.getPeerX509Certificate()
  while (next !== undefined && chain.length < CHAIN_MAX) {
    chain.push(next)
    next = next.issuerCertificate
  }
  return chain
}
