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
  const { signal, effects, limit } = options
  let next = 0
  const trying = new Set<Socket>()
  const failures: TunnelError[] = []
  let cancelStagger = () => {}
  return new Promise((resolve, reject) => {
    const end = (act: () => void) => {
      cancelStagger()
      cancelTimer()
      signal.removeEventListener('abort', onAbort)
      for (const socket of trying) socket.destroy()
      trying.clear()
      act()
    }
    const onAbort = () => end(() => reject(signal.reason as Error))
    const cancelTimer = effects.after(limit.ms, () => end(() => reject(limit.timeout())))
    const tryNext = () => {
      cancelStagger()
      const address = addresses[next++]
      if (address === undefined) {
        end(() => reject(mostTelling(failures)))
        return
      }
      let socket: Socket
      try {
        socket = open(address, port, options)
      } catch (err) {
        // The caller had no buffer to give: not a failure of this address.
        end(() => reject(err as Error))
        return
      }
      trying.add(socket)
      if (next < addresses.length) cancelStagger = effects.after(STAGGER_MS, tryNext)
      const onFailure = (failure: TunnelError) => {
        if (!trying.delete(socket)) return
        failures.push(failure)
        if (next < addresses.length) tryNext()
        else if (trying.size === 0) end(() => reject(mostTelling(failures)))
      }
      const onError = (err: Error) => onFailure(dialError(err, formatHostPort(address, port)))
      socket.once('error', onError)
      socket.once('connect', () => {
        const fault = faultOf(socket, address, port)
        if (fault !== undefined) {
          socket.destroy()
          onFailure(fault)
          return
        }
        socket.off('error', onError)
        trying.delete(socket)
        end(() => resolve(socket))
      })
    }
    if (signal.aborted) {
      onAbort()
      return
    }
    signal.addEventListener('abort', onAbort, { once: true })
    tryNext()
  })
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
