import net from 'node:net'
import { within } from './deadline.ts'

/** How a TCP connection ended: by FIN both ways, or broken. */
export interface Ending {
  readonly bytes: Buffer
  readonly end: 'FIN' | 'RST'
  /** What the system said where it broke. */
  readonly code: string | undefined
}

/** One end of a TCP connection in a test. It may stay half open and reads all along. */
export interface TcpEnd {
  readonly socket: net.Socket
  /** All bytes so far. */
  received(): Buffer
  /** Resolves when so many bytes have come. */
  has(length: number): Promise<void>
  /** Resolves when the other side has sent FIN. */
  readonly finished: Promise<void>
  /** Resolves when the connection is over. */
  readonly closed: Promise<Ending>
}

/** Reads `socket` until its end. */
export function tcpEnd(socket: net.Socket): TcpEnd {
  const chunks: Buffer[] = []
  let length = 0
  let code: string | undefined
  const waiting = new Set<() => void>()
  const finished = Promise.withResolvers<void>()
  const closed = Promise.withResolvers<Ending>()
  socket.on('data', (chunk: Buffer) => {
    chunks.push(chunk)
    length += chunk.length
    for (const look of [...waiting]) look()
  })
  socket.on('end', () => finished.resolve())
  socket.on('error', (error: NodeJS.ErrnoException) => {
    code = error.code
  })
  socket.on('close', () => {
    closed.resolve({ bytes: Buffer.concat(chunks), end: code === undefined ? 'FIN' : 'RST', code })
  })
  return {
    socket,
    received: () => Buffer.concat(chunks),
    has(wanted) {
      const there = new Promise<void>((resolve) => {
        const look = () => {
          if (length < wanted) return
          waiting.delete(look)
          resolve()
        }
        waiting.add(look)
        look()
      })
      return within(there, `${wanted} bytes (${length} came)`)
    },
    get finished() {
      return within(finished.promise, 'FIN')
    },
    get closed() {
      return within(closed.promise, 'the end of the connection')
    },
  }
}

/** Connects to a port of the loopback; a listener may have reset it already. */
export async function dial(port: number): Promise<TcpEnd> {
  const socket = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const end = tcpEnd(socket)
  await within(
    new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve)
      socket.once('error', (error: NodeJS.ErrnoException) => {
        if (error.code === 'ECONNRESET') resolve()
        else reject(error)
      })
    }),
    'a connection',
  )
  return end
}

/** A TCP service whose connections the test takes one by one. */
export interface TcpTarget extends AsyncDisposable {
  readonly port: number
  /** How many connections there were. */
  readonly accepted: number
  /** The next connection. */
  accept(): Promise<TcpEnd>
  close(): Promise<void>
}

/** Listens on a free port of the loopback, or on `port`. `serve` takes connections instead of `accept`. */
export async function listenTarget(serve?: (socket: net.Socket) => void, port = 0): Promise<TcpTarget> {
  const ready: TcpEnd[] = []
  const waiting: ((end: TcpEnd) => void)[] = []
  const sockets = new Set<net.Socket>()
  let accepted = 0
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    accepted++
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    if (serve !== undefined) {
      socket.on('error', () => undefined)
      serve(socket)
      return
    }
    const end = tcpEnd(socket)
    const next = waiting.shift()
    if (next === undefined) ready.push(end)
    else next(end)
  })
  await new Promise<void>((resolve) => server.listen(port, '127.0.0.1', resolve))
  const close = async () => {
    const closed = new Promise<void>((resolve) => server.close(() => resolve()))
    for (const socket of sockets) socket.destroy()
    await closed
  }
  return {
    port: (server.address() as net.AddressInfo).port,
    get accepted() {
      return accepted
    },
    accept() {
      const end = ready.shift()
      if (end !== undefined) return Promise.resolve(end)
      return within(new Promise((resolve) => waiting.push(resolve)), 'a connection to the target')
    },
    close,
    [Symbol.asyncDispose]: close,
  }
}

/** A target that sends back what it gets, and its end. */
export function echoTarget(): Promise<TcpTarget> {
  return listenTarget((socket) => socket.pipe(socket))
}
