import net from 'node:net'
import tls from 'node:tls'
import type { Effects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import { HttpConnect } from './http-connect.ts'
import { printable } from './proxy-answer.ts'
import { formatRoute, type ProxyCredentials, type ProxyRoute, type Route, type Target } from './route.ts'
import { Socks5 } from './socks5.ts'
import type { Step } from './step.ts'

export interface ReachOptions {
  /** Also carries the deadline. */
  readonly signal: AbortSignal
  readonly effects: Effects
  /** For the proxy of the route; sent only where it asks for them. */
  readonly credentials?: ProxyCredentials
  /** PEM of further roots for the TLS of `https` proxies, beside those that Node has. */
  readonly roots?: readonly string[]
  /** Told of each step. */
  readonly onStep?: (step: Step) => void
}

/**
 * How long one address of a name has before the next is tried instead of it, in ms. Node's own 250 would give up every
 * address but the last on a path with a longer round trip; with two dead of three the third still stands within 5 s.
 */
const ATTEMPT_MS = 1_500

/** How long the connection to a proxy may take in ms, so that time is left for the next one of the list. */
const PROXY_CONNECT_MS = 5_000

/**
 * Opens a TCP connection to `target` by one route. What comes back is connected and belongs to the caller; behind a proxy
 * it is the connection to the proxy, paused, which passes the bytes on.
 *
 * @throws {TunnelError} PROXY_UNREACHABLE, PROXY_AUTH, PROXY_REFUSED; the error of `node:net` where the route is direct;
 * the reason of the signal
 */
export async function reach(target: Target, route: Route, options: ReachOptions): Promise<net.Socket> {
  const began = options.effects.now()
  const socket =
    route.kind === 'direct'
      ? await connectTcp(target, 'target', options)
      : await throughProxy(target, route, options)
  options.onStep?.({ kind: 'open', ms: options.effects.now() - began })
  return socket
}

async function connectTcp(
  { host, port }: Target,
  to: 'proxy' | 'target',
  { signal, effects, onStep }: ReachOptions,
): Promise<net.Socket> {
  signal.throwIfAborted()
  const began = effects.now()
  const socket = net.connect({ host, port, autoSelectFamilyAttemptTimeout: ATTEMPT_MS })
  await settled(socket, 'connect', signal)
  onStep?.({ kind: 'tcp', to, host, port, address: socket.remoteAddress ?? '', ms: effects.now() - began })
  return socket
}

/** Waits for `event`; destroys the socket where it fails instead or the signal aborts. */
async function settled(socket: net.Socket, event: string, signal: AbortSignal): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => reject(signal.reason as Error)
  const onClose = () => reject(new Error('closed'))
  signal.addEventListener('abort', onAbort, { once: true })
  socket.once(event, resolve).once('error', reject).once('close', onClose)
  try {
    await promise
  } catch (err) {
    // Late errors have nobody left to tell.
    socket.on('error', () => undefined)
    socket.destroy()
    throw err
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.removeListener(event, resolve).removeListener('error', reject).removeListener('close', onClose)
  }
}

async function connectProxy(proxy: ProxyRoute, options: ReachOptions): Promise<net.Socket> {
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(PROXY_CONNECT_MS)])
  try {
    const socket = await connectTcp(proxy, 'proxy', { ...options, signal })
    return proxy.kind === 'https' ? await secureProxy(socket, proxy, { ...options, signal }) : socket
  } catch (err) {
    options.signal.throwIfAborted()
    throw proxyFault(proxy, err)
  }
}

async function secureProxy(
  socket: net.Socket,
  proxy: ProxyRoute,
  options: ReachOptions,
): Promise<net.Socket> {
  const secure = tls.connect({
    socket,
    host: proxy.host,
    ...(net.isIP(proxy.host) === 0 ? { servername: proxy.host } : {}),
    ca: [...tls.getCACertificates('default'), ...(options.roots ?? [])],
    ALPNProtocols: ['http/1.1'],
  })
  await settled(secure, 'secureConnect', options.signal)
  const issuer = printable((secure.getPeerX509Certificate()?.issuer ?? '').replaceAll('\n', ', '))
  options.onStep?.({ kind: 'proxy-tls', issuer, protocol: secure.getProtocol() ?? '' })
  return secure
}

function proxyFault(proxy: ProxyRoute, err: unknown): TunnelError {
  if (isTunnelError(err)) return err
  const { code, name } = err as { code?: unknown; name?: unknown }
  const word = name === 'TimeoutError' ? 'no answer in time' : code
  const text = typeof word === 'string' ? word : 'it closed the connection'
  return new TunnelError('PROXY_UNREACHABLE', `${formatRoute(proxy)}: ${text}`, { cause: err })
}

async function throughProxy(target: Target, proxy: ProxyRoute, options: ReachOptions): Promise<net.Socket> {
  const talk =
    proxy.kind === 'socks5'
      ? new Socks5({ ...options, target, proxy })
      : new HttpConnect({ ...options, target, proxy })
  for (;;) {
    const socket = await connectProxy(proxy, options)
    if (await converse(socket, talk, proxy, options.signal)) return socket
    socket.destroy()
  }
}

/** Speaks with the proxy until the way is open; false where it wants to be connected anew. */
async function converse(
  socket: net.Socket,
  talk: HttpConnect | Socks5,
  proxy: ProxyRoute,
  signal: AbortSignal,
): Promise<boolean> {
  const { promise, resolve, reject } = Promise.withResolvers<boolean>()
  const onAbort = () => reject(signal.reason as Error)
  const onEnd = () => reject(proxyFault(proxy, new Error('closed')))
  const onError = (err: Error) => reject(proxyFault(proxy, err))
  const onData = (chunk: Buffer) => {
    try {
      const move = talk.push(chunk)
      if (move.kind === 'send') socket.write(move.bytes)
      else if (move.kind === 'reconnect') resolve(false)
      else if (move.kind === 'open') {
        socket.pause()
        if (move.rest.length > 0) socket.unshift(move.rest)
        resolve(true)
      }
    } catch (err) {
      reject(err as Error)
    }
  }
  signal.addEventListener('abort', onAbort, { once: true })
  socket.on('data', onData).on('error', onError).on('end', onEnd).on('close', onEnd)
  try {
    signal.throwIfAborted()
    socket.write(talk.begin())
    return await promise
  } catch (err) {
    socket.destroy()
    throw err
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.removeListener('data', onData).removeListener('end', onEnd).removeListener('close', onEnd)
    // Errors go on to be ours where nobody else listens: an error without a listener ends the process.
    if (socket.destroyed) socket.on('error', () => undefined)
    socket.removeListener('error', onError)
  }
}
