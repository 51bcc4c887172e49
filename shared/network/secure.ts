import { X509Certificate } from 'node:crypto'
import tls from 'node:tls'
import { TunnelError } from '../errors.ts'
import { formatRelayAddress, type RelayAddress } from '../identity/relay-address.ts'
import {
  type ClientIdentity,
  type RelayTrust,
  relayConnectError,
  relayTlsOptions,
} from '../identity/relay-tls.ts'
import { inspectionError, isSignedBy, issuerOf, observeChain } from './inspector.ts'
import type { Network } from './network.ts'
import type { Step } from './step.ts'

export interface SecureOptions {
  readonly network: Network
  readonly address: RelayAddress
  readonly trust: RelayTrust
  readonly client?: ClientIdentity
  /** Also carries the deadline. */
  readonly signal: AbortSignal
  readonly onStep?: (step: Step) => void
}

/** A connection whose other end is the relay, or an inspector that the site accepted. */
export interface SecureConnection {
  readonly socket: tls.TLSSocket
  /**
   * Whom the site let stand in between, as its certificate names it; undefined where TLS proved the relay itself. With an
   * inspector nothing is proved yet: neither the relay to us, nor we to it.
   */
  readonly inspector?: string
}

/**
 * Connects to a relay and verifies it: TLS 1.3 with the pinned CA alone. Only where the site accepted an inspector may its
 * CA vouch as well, and then in TLS 1.2 too, as old inspectors speak.
 *
 * @throws {TunnelError} RELAY_IDENTITY naming who signed what was shown; RELAY_UNREACHABLE; of `Network.reach`
 */
export async function secureToRelay(options: SecureOptions): Promise<SecureConnection> {
  const { network, address, signal } = options
  const { inspector } = network
  try {
    const known = await inspector?.ca()
    const first = await handshake(options, known)
    if (first.socket !== undefined) return connected(options, first.socket)
    if (known === undefined && inspector?.learn(first.chain) === true) {
      const second = await handshake(options, await inspector.ca())
      if (second.socket !== undefined) return connected(options, second.socket)
    }
    throw await notTheRelay(options, first)
  } catch (err) {
    throw relayConnectError(signal.aborted ? signal.reason : err, address)
  }
}

type Handshake =
  | { readonly socket: tls.TLSSocket }
  | { readonly socket: undefined; readonly chain: readonly X509Certificate[]; readonly error: TunnelError }

/** One connection. It rejects where TLS did not even get to a certificate that does not hold. */
async function handshake(options: SecureOptions, inspectorCa: string | undefined): Promise<Handshake> {
  const { network, address, trust, client, signal, onStep } = options
  const raw = await network.reach(address, signal, onStep)
  const socket = tls.connect({
    socket: raw,
    ...relayTlsOptions(trust, client),
    ...(inspectorCa === undefined ? {} : { ca: [trust.ca, inspectorCa], minVersion: 'TLSv1.2' }),
    ALPNProtocols: ['http/1.1'],
  })
  const chain = observeChain(socket)
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => reject(signal.reason as Error)
  const onClose = () => reject(new Error('closed'))
  signal.addEventListener('abort', onAbort, { once: true })
  socket.once('secureConnect', resolve).once('error', reject).once('close', onClose)
  try {
    signal.throwIfAborted()
    await promise
    return { socket }
  } catch (err) {
    socket.on('error', () => undefined)
    socket.destroy()
    raw.destroy()
    signal.throwIfAborted()
    const error = relayConnectError(err, address, chain()[0])
    if (error.code !== 'RELAY_IDENTITY') throw error
    return { socket: undefined, chain: chain(), error }
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket
      .removeListener('secureConnect', resolve)
      .removeListener('error', reject)
      .removeListener('close', onClose)
  }
}

function connected({ trust }: SecureOptions, socket: tls.TLSSocket): SecureConnection {
  const leaf = socket.getPeerX509Certificate()
  if (leaf === undefined) throw new TunnelError('RELAY_IDENTITY', 'It shows no certificate.')
  if (isSignedBy(leaf, new X509Certificate(trust.ca))) return { socket }
  return { socket, inspector: issuerOf(leaf, [], []).name }
}

async function notTheRelay(
  { network, address, trust }: SecureOptions,
  { chain, error }: Handshake & { readonly socket: undefined },
): Promise<TunnelError> {
  const [leaf] = chain
  // The relay's own CA vouched for it: it is another name or another time that does not fit.
  if (leaf === undefined || isSignedBy(leaf, new X509Certificate(trust.ca))) return error
  const issuer = issuerOf(leaf, chain, await network.roots())
  return inspectionError(formatRelayAddress(address), address.host, issuer, error.cause)
}
