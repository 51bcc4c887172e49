import { X509Certificate } from 'node:crypto'
import { connect } from 'node:tls'
import { TunnelError } from '../shared/errors.ts'
import { spkiHash } from '../shared/identity/keys.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import { relayConnectError, relayHandshakeOptions } from '../shared/identity/relay-tls.ts'
import { readChain as readOffered } from '../shared/identity/sealed-request.ts'
import { inspectionError, isSignedBy, issuerOf, observeChain } from '../shared/network/inspector.ts'
import type { Network } from '../shared/network/network.ts'
import { fetchOffer } from './sealed-exchange.ts'

export interface FirstContact {
  readonly network: Network
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
  const where = formatRelayAddress(contact.address)
  const [leaf] = chain
  if (leaf === undefined) throw new TunnelError('RELAY_IDENTITY', `${where} shows no certificate.`)
  const offered = await askThroughInspector(contact, leaf, chain)
  if (offered !== undefined) return offered
  throw inspectionError(where, contact.address.host, issuerOf(leaf, chain, await contact.network.roots()))
}

/** The CA as the relay tells it through an inspector that the site accepted; undefined where there is none, or it is not it. */
async function askThroughInspector(
  { network, address, serverName, caPin, signal }: FirstContact,
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
): Promise<string | undefined> {
  const { inspector } = network
  inspector?.learn(chain)
  const ca = await inspector?.ca()
  if (ca === undefined || !isSignedBy(leaf, new X509Certificate(ca))) return undefined
  // The inspector may say what it likes: the pin decides.
  const offer = await fetchOffer({ network, address, trust: { serverName, ca }, signal })
  return readOffered(offer.chain)
    .find((certificate) => isPinned(certificate, caPin))
    ?.toString()
}

function isPinned(certificate: X509Certificate, pin: Buffer): boolean {
  // The signature by its own key says that the rest of the certificate, too, comes from the owner of the key.
  return certificate.ca && spkiHash(certificate).equals(pin) && certificate.verify(certificate.publicKey)
}

async function readChain(contact: FirstContact): Promise<readonly X509Certificate[]> {
  const { network, address, serverName, signal } = contact
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const raw = await network.reach(address, signal).catch((err: unknown) => {
    throw relayConnectError(signal.aborted ? signal.reason : err, address)
  })
  const socket = connect({ ...relayHandshakeOptions(serverName), socket: raw })
  const onAbort = () => socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  const chain = observeChain(socket)
  socket.on('error', reject)
  socket.on('close', () => reject(new Error('closed')))
  socket.on('secureConnect', resolve)
  try {
    await promise
    return chain()
  } catch (err) {
    if (chain().length > 0) return chain()
    throw relayConnectError(err, address)
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.destroy()
    raw.destroy()
  }
}
