import { type NetConnectOpts, connect as netConnect, type Socket, type SocketConstructorOpts } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, TunnelError } from '../../shared/errors.ts'
import { canonicalAddress } from '../../shared/policy/address.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { dialError, mostTelling } from './dial-error.ts'

/** Milliseconds after which the next address is tried beside the one that is silent (RFC 8305 section 8). */
export const STAGGER_MS = 250
/** Milliseconds without traffic before the kernel probes the target. */
const KEEP_ALIVE_MS = 60_000

export interface ConnectOptions {
  /** Ends everything; its reason is what is thrown. */
  readonly signal: AbortSignal
  /** After `ms` milliseconds it ends with that error. */
  readonly limit: { readonly ms: number; readonly timeout: () => TunnelError }
  readonly effects: Pick<Effects, 'after'>
  /** Called once for each address that is tried: each socket needs a read buffer of its own. */
  readonly socketOptions?: (() => Pick<SocketConstructorOpts, 'onread'>) | undefined
  /** Stands in for net.connect in tests. */
  readonly connect?: ((options: NetConnectOpts) => Socket) | undefined
}

/**
 * Connects to the first of `addresses` that answers. A silent address does not hold up the next by more than
 * STAGGER_MS, a failed one not at all. Only numbers are dialled: no name is looked up here.
 *
 * @param addresses canonical numbers that policy has passed; at least one
 * @throws {TunnelError} the most telling failure, or that of the limit; or the reason of the signal
 */
export function connectFirst(
  addresses: readonly string[],
  port: number,
  options: ConnectOptions,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    if (options.signal.aborted) reject(options.signal.reason as Error)
    else new Race(addresses, port, options, { resolve, reject }).tryNext()
  })
}

/** The addresses of one target, each tried where those before it failed or are silent. */
class Race {
  readonly #addresses: readonly string[]
  readonly #port: number
  readonly #options: ConnectOptions
  readonly #outcome: Pick<PromiseWithResolvers<Socket>, 'resolve' | 'reject'>
  #next = 0
  #trying: Socket[] = []
  readonly #failures: TunnelError[] = []
  readonly #cancelLimit: () => void
  #cancelStagger: (() => void) | undefined

  constructor(
    addresses: readonly string[],
    port: number,
    options: ConnectOptions,
    outcome: Pick<PromiseWithResolvers<Socket>, 'resolve' | 'reject'>,
  ) {
    this.#addresses = addresses
    this.#port = port
    this.#options = options
    this.#outcome = outcome
    const { signal, effects, limit } = options
    this.#cancelLimit = effects.after(limit.ms, () => this.#fail(limit.timeout()))
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  readonly tryNext = (): void => {
    this.#cancelStagger?.()
    const address = this.#addresses[this.#next++]
    if (address === undefined) {
      this.#fail(mostTelling(this.#failures))
      return
    }
    let socket: Socket
    try {
      socket = open(address, this.#port, this.#options)
    } catch (err) {
      // The caller had no buffer to give: not a failure of this address.
      this.#fail(err as Error)
      return
    }
    this.#trying.push(socket)
    if (this.#next < this.#addresses.length) {
      this.#cancelStagger = this.#options.effects.after(STAGGER_MS, this.tryNext)
    }
    const onError = (err: Error) => this.#failed(socket, dialError(err, formatHostPort(address, this.#port)))
    const onConnect = () => {
      const fault = faultOf(socket, address, this.#port)
      socket.off('connect', onConnect)
      if (fault === undefined) {
        socket.off('error', onError)
        this.#won(socket)
        return
      }
      socket.destroy()
      this.#failed(socket, fault)
    }
    // One that has lost may still fail.
    socket.on('error', onError)
    socket.on('connect', onConnect)
  }

  #failed(socket: Socket, failure: TunnelError): void {
    if (!this.#trying.includes(socket)) return
    this.#trying = this.#trying.filter((other) => other !== socket)
    this.#failures.push(failure)
    if (this.#next < this.#addresses.length) this.tryNext()
    else if (this.#trying.length === 0) this.#fail(mostTelling(this.#failures))
  }

  #won(socket: Socket): void {
    this.#end(socket)
    this.#outcome.resolve(socket)
  }

  #fail(error: Error): void {
    this.#end(undefined)
    this.#outcome.reject(error)
  }

  /** Nothing goes on behind the answer. */
  #end(winner: Socket | undefined): void {
    this.#cancelStagger?.()
    this.#cancelLimit()
    const { signal } = this.#options
    signal.removeEventListener('abort', this.#onAbort)
    for (const socket of this.#trying) if (socket !== winner) socket.destroy()
    this.#trying = []
  }

  readonly #onAbort = (): void => this.#fail(this.#options.signal.reason as Error)
}

function open(address: string, port: number, options: ConnectOptions): Socket {
  const { socketOptions, connect = netConnect } = options
  return connect({
    ...socketOptions?.(),
    host: address,
    port,
    // A number has one family; node's own racing would only add timers that nobody here can cancel.
    autoSelectFamily: false,
    allowHalfOpen: true,
    noDelay: true,
    keepAlive: true,
    keepAliveInitialDelay: KEEP_ALIVE_MS,
  })
}

/** Why a connected socket is not what was wanted. */
function faultOf(socket: Socket, address: string, port: number): TunnelError | undefined {
  const fault = (code: ErrorCode, what: string) =>
    new TunnelError(code, `${formatHostPort(address, port)}: ${what}`)
  const { remoteAddress } = socket
  // The peer is gone again already.
  if (remoteAddress === undefined) return fault('CONNECTION_REFUSED', 'closed at once')
  if (
    remoteAddress !== address &&
    canonicalAddress(remoteAddress)?.text !== canonicalAddress(address)?.text
  ) {
    return fault('DENIED_BY_SITE', `the socket is connected to ${remoteAddress}`)
  }
  // TCP lets a socket connect to itself where the kernel chose the target's own port for it: nobody listens there.
  if (socket.localPort === port && socket.localAddress === remoteAddress) {
    return fault('CONNECTION_REFUSED', 'nobody listens')
  }
  return undefined
}
