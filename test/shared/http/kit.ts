import http from 'node:http'
import net, { type AddressInfo } from 'node:net'
import type { Duplex } from 'node:stream'
import type { TestContext } from 'node:test'
import { createForwarder, type ForwarderOptions, type Upstream } from '../../../shared/http/forwarder.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../../shared/http/server.ts'

/** Starts `server` on a free loopback port; the test ends it. */
export async function listen(t: TestContext, server: net.Server): Promise<number> {
  const sockets = new Set<net.Socket>()
  server.on('connection', (socket) => {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => {
    for (const socket of sockets) socket.destroy()
    server.close()
  })
  return (server.address() as AddressInfo).port
}

export interface RawAnswer {
  readonly text: string
  /** How the connection ended. */
  readonly end: 'FIN' | 'RST'
}

/** Sends bytes and reads until the connection ends; `onFirst` is called when the first bytes came back. */
export function raw(port: number, text: string | Buffer, onFirst = () => {}): Promise<RawAnswer> {
  return new Promise((resolve) => {
    const chunks: Buffer[] = []
    let end: RawAnswer['end'] = 'FIN'
    const socket = net.connect(port, '127.0.0.1')
    socket.once('data', onFirst)
    socket.on('data', (chunk) => chunks.push(chunk))
    socket.on('error', () => {
      end = 'RST'
    })
    socket.on('close', () => resolve({ text: Buffer.concat(chunks).toString('latin1'), end }))
    socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text)
  })
}

/** A request that closes behind itself, with `lines` as further headers. */
export function get(path: string, ...lines: string[]): string {
  return request('GET', path, lines)
}

export function request(method: string, path: string, lines: readonly string[], body = ''): string {
  return [`${method} ${path} HTTP/1.1`, 'Host: app.example', 'Connection: close', ...lines, '', body].join(
    '\r\n',
  )
}

export interface FrontOptions extends ForwarderOptions {
  readonly connect?: Upstream['connect']
  readonly set?: readonly string[]
  readonly withheld?: (name: string) => boolean
}

/** A hardened server that forwards everything to `origin`. */
export function front(t: TestContext, origin: number, options: FrontOptions = {}): Promise<number> {
  const forwarder = createForwarder(options)
  const upstream: Upstream = {
    connect: options.connect ?? (() => net.connect({ port: origin, host: '127.0.0.1', allowHalfOpen: true })),
    set: options.set ?? ['Host', 'app.example'],
    withheld: options.withheld ?? (() => false),
    traceId: '0123456789abcdef0123456789abcdef',
  }
  const server = http.createServer(HTTP_SERVER_OPTIONS)
  hardenServer(server)
  const forward = (request: http.IncomingMessage, response: http.ServerResponse) =>
    forwarder.forward(request, response, upstream)
  server.on('request', forward).on('checkContinue', forward)
  server.on('upgrade', (request, socket: Duplex, head) => forwarder.upgrade(request, socket, head, upstream))
  return listen(t, server)
}

/** Resolves with the arguments of the next event. */
export function once<T>(emitter: NodeJS.EventEmitter, event: string): Promise<T> {
  return new Promise((resolve) => emitter.once(event, resolve))
}

/** The JSON body behind the last header section. */
export function bodyOf<T>({ text }: RawAnswer): T {
  return JSON.parse(text.slice(text.lastIndexOf('\r\n\r\n') + 4)) as T
}

/** All that is still to come of a body. */
export async function read(answer: http.IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of answer) text += String(chunk)
  return text
}

/** A server that says `text` to whoever asks, and resets its connections when told. */
export function breakable(text: string): { server: net.Server; breakOff: () => void } {
  const sockets: net.Socket[] = []
  const server = net.createServer((socket) => {
    sockets.push(socket)
    socket.on('error', () => undefined)
    socket.once('data', () => socket.write(text))
  })
  return { server, breakOff: () => sockets.forEach((socket) => void socket.resetAndDestroy()) }
}
