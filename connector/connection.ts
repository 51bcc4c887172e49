import { type Effects, realEffects } from '../shared/effects.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import {
  areTokenCredentials,
  type ConnectorCredentials,
  type TokenCredentials,
} from '../shared/identity/credentials.ts'
import { parseResourceName } from '../shared/identity/names.ts'
import type { RelayAddress } from '../shared/identity/relay-address.ts'
import { Attention } from '../shared/mux/attention.ts'
import type { Stream } from '../shared/mux/stream.ts'
import type { StreamHandler } from '../shared/mux/stream-handler.ts'
import { createWindowBudget } from '../shared/mux/window.ts'
import type { Network } from '../shared/network/network.ts'
import { type ClientTunnel, openClientTunnel } from '../shared/tunnel/client-tunnel.ts'
import { TunnelDuplex } from '../shared/tunnel/duplex.ts'
import { endsStreams, keepConnected } from '../shared/tunnel/reconnect.ts'
import { type OpeningPath, Resumption } from '../shared/tunnel/resumption.ts'
import { CertificateProof } from './identity/certificate-proof.ts'
import type { CredentialsKeeper } from './identity/credentials-file.ts'
import type { Proof, ProofEvents } from './identity/proof.ts'
import { TokenProof } from './identity/token-proof.ts'

/** Windows of all streams beyond 256 KiB each, in bytes. */
const WINDOW_BUDGET_BYTES = 256 * 1024 * 1024

/** How long the streams of a session whose ids run out may stay on it, in ms. */
const ROLL_DRAIN_MS = 24 * 3_600_000

/** Whoever asked in vain makes the connector try more often for so long, in ms. */
const DEMAND_MS = 5_000

export interface ConnectorOptions {
  readonly credentials: ConnectorCredentials | TokenCredentials
  /** Told of each failure to reach the relay; the connector goes on trying. */
  readonly onDown?: (error: TunnelError, retryMs: number) => void
  /**
   * Where a certificate is kept when it was renewed; see `credentialsFile`. Without it the certificate is not renewed. For one
   * place only: copies elsewhere are worth nothing after the first renewal.
   */
  readonly keeper?: CredentialsKeeper
  /** Told of each failure to renew what proves who this is; the connector goes on trying. */
  readonly onRenewalFailed?: (error: TunnelError) => void
  /** Told each time the tunnel stands. */
  readonly onUp?: () => void
  readonly mask?: 'zero' | 'random'
  /** How the relay is reached, see `findNetwork`; directly unless told otherwise. */
  readonly network?: Network
  readonly effects?: Effects
}

/** A connector's tunnel to its relay, kept up until it is closed. */
export class Connector {
  readonly #options: ConnectorOptions
  readonly #effects: Effects
  readonly #budget = createWindowBudget(WINDOW_BUDGET_BYTES)
  readonly #attention = new Attention()
  readonly #instance: Buffer
  readonly #stop = new AbortController()
  readonly #tunnels = new Set<ClientTunnel>()
  readonly #resumption: Resumption<string>
  readonly #proof: Proof
  readonly #done: Promise<void>
  #kept: Promise<void> | undefined
  #attempt = 0
  #tunnel: ClientTunnel | undefined
  #lastError: TunnelError | undefined
  /** When a stream was asked for and there was no tunnel, in ms. */
  #missedAt = Number.NEGATIVE_INFINITY
  #ready = Promise.withResolvers<void>()

  constructor(options: ConnectorOptions) {
    this.#options = options
    this.#effects = options.effects ?? realEffects
    this.#instance = this.#effects.randomBytes(16)
    this.#resumption = new Resumption({ effects: this.#effects, path: () => this.#path() })
    this.#proof = proofOf(options, this.#effects)
    // Whoever never asks for it must not be told by a crash.
    this.#ready.promise.catch(() => undefined)
    this.#done = keepConnected({
      effects: this.#effects,
      signal: this.#stop.signal,
      isUrgent: () => this.#resumption.waitingCount > 0 || this.#effects.now() - this.#missedAt < DEMAND_MS,
      connect: (signal) => this.#connect(signal),
      onUp: (tunnel) => this.#onUp(tunnel),
      onDown: (error, retryMs) => this.#onDown(error, retryMs),
    })
  }

  /**
   * Waits until the tunnel stands.
   * @throws {TunnelError} of the first attempt where it failed; later attempts go on
   */
  async ready(): Promise<void> {
    await this.#ready.promise
  }

  /**
   * Opens a stream to `SITE/RESOURCE`. It takes writes at once, which travel with the request, emits `connect` when the
   * target was reached, and is destroyed with a TunnelError when it was not.
   */
  connect(resource: string): TunnelDuplex {
    const duplex = new TunnelDuplex()
    try {
      duplex.stream = this.open(resource, duplex.handler)
    } catch (error) {
      // 'error' is emitted in the next tick, when the caller listens.
      duplex.destroy(error as Error)
    }
    return duplex
  }

  /**
   * Opens a stream for a handler of one's own.
   * @throws {TunnelError} CONFIG, RELAY_UNREACHABLE or what kept the tunnel down, OVERLOADED; nothing was dialled
   */
  open(resource: string, handler: StreamHandler): Stream {
    parseResourceName(resource)
    return this.#resumption.open(resource, { resource, protocol: 'tcp' }, handler)
  }

  /** Streams under way. */
  get streamCount(): number {
    let count = 0
    for (const tunnel of this.#tunnels) count += tunnel.session.streamCount
    return count
  }

  /** Ends every stream and the tunnel. */
  async close(): Promise<void> {
    // First, while there is a tunnel that tells the agents: else they would keep the streams for their grace time.
    this.#resumption.close(new TunnelError('CANCELLED'))
    this.#stop.abort(new TunnelError('CANCELLED'))
    for (const tunnel of this.#tunnels) tunnel.close(new TunnelError('CANCELLED'))
    await this.#done
    await this.#kept
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #connect(signal: AbortSignal): Promise<ClientTunnel> {
    await this.#proof.ready(signal)
    try {
      return await this.#open(signal)
    } catch (error) {
      if (!isTunnelError(error) || error.code !== 'IDENTITY') throw error
      if (!(await this.#proof.replace(signal))) throw error
      return this.#open(signal)
    }
  }

  #open(signal: AbortSignal): Promise<ClientTunnel> {
    const { credentials, mask, network } = this.#options
    const { serverName, ca } = credentials
    const address = credentials.addresses[this.#attempt++ % credentials.addresses.length] as RelayAddress
    return openClientTunnel({
      path: '/v1/connector',
      address,
      identity: () => ({
        serverName,
        ca,
        ...this.#proof.shown,
        ...(network === undefined ? {} : { network }),
      }),
      hello: () => ({
        instance: this.#instance,
        held: [...this.#tunnels].map((tunnel) => tunnel.relay.session),
      }),
      effects: this.#effects,
      budget: this.#budget,
      attention: this.#attention,
      mask: mask ?? 'zero',
      opening: () => {
        throw new TunnelError('REFUSED', 'a connector takes no streams')
      },
      signal,
    })
  }

  #path(): OpeningPath {
    const tunnel = this.#tunnel
    if (tunnel === undefined) {
      this.#missedAt = this.#effects.now()
      throw this.#lastError ?? new TunnelError('RELAY_UNREACHABLE')
    }
    // Long before its ids run out a session makes room for the next.
    if (tunnel.session.wantsRoll) tunnel.retire(ROLL_DRAIN_MS)
    return { session: tunnel.session, relay: tunnel.relay.instance }
  }

  #onUp(tunnel: ClientTunnel): void {
    this.#tunnels.add(tunnel)
    this.#tunnel = tunnel
    this.#resumption.tryNow(() => true)
    this.#lastError = undefined
    this.#ready.resolve()
    this.#kept ??= this.#keep()
    this.#options.onUp?.()
    void tunnel.closed.then((error) => {
      this.#tunnels.delete(tunnel)
      if (this.#tunnel === tunnel) {
        this.#tunnel = undefined
        this.#lastError = onWayToRelay(error)
      }
    })
  }

  #keep(): Promise<void> {
    const told: ProofEvents = {
      notice: (meta) => {
        for (const { session } of this.#tunnels) session.sendNotice(meta)
      },
      // The relay forgets the certificate of before when it sees the next one.
      changed: () => this.#tunnel?.retire(ROLL_DRAIN_MS),
      failed: (error) => this.#options.onRenewalFailed?.(onWayToRelay(error)),
    }
    return this.#proof.keep(told, this.#stop.signal)
  }

  #onDown(cause: TunnelError, retryMs: number): void {
    const error = onWayToRelay(cause)
    this.#lastError = error
    this.#ready.reject(error)
    if (endsStreams(error)) this.#resumption.endWaiting(error)
    this.#options.onDown?.(error, retryMs)
  }
}

function proofOf({ credentials, network, keeper }: ConnectorOptions, effects: Effects): Proof {
  return areTokenCredentials(credentials)
    ? new TokenProof({ credentials, network, effects })
    : new CertificateProof({ credentials, network, keeper, effects })
}

/** Whatever keeps a connector from its relay is between these two: the catalogue speaks of agents, too. */
function onWayToRelay(error: TunnelError): TunnelError {
  if (error.leg !== 'relay-agent') return error
  const { code, detail, next, cause } = error
  return new TunnelError(code, detail, { leg: 'connector-relay', next, cause })
}
