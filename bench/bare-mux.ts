import { readFileSync } from 'node:fs'
import net from 'node:net'
import tls from 'node:tls'

/**
 * The least that a multiplexing reverse tunnel on Node can do: one TLS 1.3 connection, frames of type, id and length, one
 * write a turn; no flow control, no decision, no record. What Sallyport's new streams and echoes cost is to be read beside it.
 *
 * bare-mux.ts relay PUBLIC-PORT TUNNEL-PORT CERT KEY | bare-mux.ts agent TUNNEL-PORT TARGET-PORT CA
 */

const OPEN = 1
const DATA = 2
const END = 3
/** Type, id and length. */
const HEAD_BYTES = 9

type Send = (type: number, id: number, bytes?: Uint8Array) => void

/** Reads frames of `link` and hands them to `onFrame`; the answer sends some. */
function carry(link: net.Socket, onFrame: (type: number, id: number, bytes: Buffer) => void): Send {
  link.setNoDelay(true)
  let rest: Buffer = Buffer.alloc(0)
  link.on('data', (chunk: Buffer) => {
    const bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    let at = 0
    while (bytes.length - at >= HEAD_BYTES) {
      const end = at + HEAD_BYTES + bytes.readUInt32LE(at + 5)
      if (end > bytes.length) break
      onFrame(bytes.readUInt8(at), bytes.readUInt32LE(at + 1), bytes.subarray(at + HEAD_BYTES, end))
      at = end
    }
    rest = bytes.subarray(at)
  })
  let waiting: Uint8Array[] = []
  return (type, id, bytes = new Uint8Array(0)) => {
    const head = Buffer.alloc(HEAD_BYTES)
    head.writeUInt8(type, 0)
    head.writeUInt32LE(id, 1)
    head.writeUInt32LE(bytes.length, 5)
    if (waiting.length === 0) {
      setImmediate(() => {
        link.write(Buffer.concat(waiting))
        waiting = []
      })
    }
    waiting.push(head, bytes)
  }
}

const streams = new Map<number, net.Socket>()

function join(id: number, socket: net.Socket, send: Send): void {
  streams.set(id, socket)
  socket.on('data', (bytes) => send(DATA, id, bytes))
  socket.on('end', () => send(END, id))
  socket.on('error', () => undefined)
  socket.on('close', () => streams.delete(id))
}

function onFrame(type: number, id: number, bytes: Buffer): void {
  if (type === DATA) streams.get(id)?.write(bytes)
  else streams.get(id)?.end()
}

function runRelay([publicPort, tunnelPort, cert = '', key = '']: string[]): void {
  let send: Send = () => undefined
  tls
    .createServer({ cert: readFileSync(cert), key: readFileSync(key), minVersion: 'TLSv1.3' }, (link) => {
      send = carry(link, onFrame)
    })
    .listen(Number(tunnelPort), '127.0.0.1')
  let id = 0
  net
    .createServer({ noDelay: true, allowHalfOpen: true }, (socket) => {
      send(OPEN, ++id)
      join(id, socket, send)
    })
    .listen(Number(publicPort), '127.0.0.1')
}

function runAgent([tunnelPort, targetPort, ca = '']: string[]): void {
  const link = tls.connect({ host: '127.0.0.1', port: Number(tunnelPort), ca: readFileSync(ca) })
  const send = carry(link, (type, id, bytes) => {
    if (type !== OPEN) onFrame(type, id, bytes)
    else {
      const options = { host: '127.0.0.1', noDelay: true, allowHalfOpen: true, autoSelectFamily: false }
      join(id, net.connect({ ...options, port: Number(targetPort) }), send)
    }
  })
}

const [role, ...rest] = process.argv.slice(2)
if (role === 'relay') runRelay(rest)
else runAgent(rest)
