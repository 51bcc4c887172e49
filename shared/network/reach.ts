import net from 'node:net'
import type { Effects } from '../effects.ts'
import type { ProxyCredentials, Route, Target } from './route.ts'
import type { Step } from './step.ts'

/**
 * How long one address of a name has before the next is tried instead of it, in ms. Node's own 250 would give up every
 * address but the last on a path with a longer round trip; with two dead of three the third still stands within 5 s.
 */
const ATTEMPT_MS = 1_500

export interface ReachOptions {
  /** Also carries the deadline. */
  readonly signal: AbortSignal
  readonly effects: Effects
  /** For the proxy of the route; asked for only when it wants some. */
  readonly credentials?: ProxyCredentials
  /** PEM of further roots for the TLS of `https` proxies. */
  readonly roots?: readonly string[]
  /** Told of each step. */
  readonly onStep?: (step: Step) => void
}

/**
 * Opens a TCP connection to `target` by one route. What comes back is connected, paused by nobody, and belongs to the
 * caller; behind a proxy it is the connection to the proxy, which passes the bytes on.
 *
 * @throws {TunnelError} PROXY_UNREACHABLE, PROXY_AUTH, PROXY_REFUSED; the error of `node:net` where the route is direct
 */
export async function reach(target: Target, route: Route, options: ReachOptions): Promise<net.Socket> {
  if (route.kind !== 'direct') throw new Error('not yet')
  return connectTcp(target, 'target', options)
}

async function connectTcp(
  { host, port }: Target,
  to: 'proxy' | 'target',
  { signal, effects, onStep }: ReachOptions,
): Promise<net.Socket> {
  signal.throwIfAborted()
  const began = effects.now()
  const socket = net.connect({ host, port, autoSelectFamilyAttemptTimeout: ATTEMPT_MS })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => reject(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  socket.once('connect', resolve).once('error', reject)
  try {
    await promise
  } catch (err) {
    socket.destroy()
    throw err
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.removeListener('error', reject)
  }
  onStep?.({ kind: 'tcp', to, host, port, address: socket.remoteAddress ?? '', ms: effects.now() - began })
  return socket
}
