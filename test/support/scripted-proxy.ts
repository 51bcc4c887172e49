import net, { type AddressInfo } from 'node:net'
import type { ProxyRoute } from '../../shared/network/route.ts'

/** A proxy that answers the requests of each connection as a test wants it. */
export interface ScriptedProxy extends AsyncDisposable {
  readonly route: ProxyRoute
  /** The heads of the requests so far. */
  readonly requests: string[]
  /** What it answers to a request, by its head; `tunnel` joins the connection to the target asked for. */
  answer: (head: string) => string | 'tunnel'
}

export async function startScriptedProxy(answer: ScriptedProxy['answer']): Promise<ScriptedProxy> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    let received = ''
    const onData = (chunk: Buffer) => {
      received += chunk.toString('latin1')
      const end = received.indexOf('\r\n\r\n')
      if (end < 0) return
      const head = received.slice(0, end)
      received = received.slice(end + 4)
      proxy.requests.push(head)
      const said = proxy.answer(head)
      if (said === 'tunnel') {
        socket.removeListener('data', onData)
        join(socket, head, sockets)
      } else {
        socket.write(said)
        if (/^Connection: close\r$/im.test(said)) socket.end()
      }
    }
    socket.on('data', onData)
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const proxy: ScriptedProxy = {
    route: { kind: 'http', host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    requests: [],
    answer,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => server.close(resolve))
    },
  }
  return proxy
}

function join(socket: net.Socket, head: string, sockets: Set<net.Socket>): void {
  const [, host = '', port = ''] = /^CONNECT ([^ :]+):(\d+) /.exec(head) ?? []
  const upstream = net.connect({ port: Number(port), host, allowHalfOpen: true }, () => {
    socket.write('HTTP/1.1 200 Connection established\r\n\r\n')
    socket.pipe(upstream).pipe(socket)
  })
  sockets.add(upstream)
  upstream.on('error', () => socket.destroy())
  upstream.on('close', () => socket.destroy())
  socket.on('close', () => upstream.destroy())
}

/** An answer 407 that keeps the connection, or closes it. */
export function challenge(value: string, connection: 'keep-alive' | 'close' = 'keep-alive'): string {
  return `HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: ${value}\r\nConnection: ${connection}\r\nContent-Length: 0\r\n\r\n`
}
