import net from 'node:net'
import type { BlockReader } from './blocks.ts'

/** What Node keeps to itself of an accepted socket and its server. */
interface Internals {
  _handle: object | null
  _server?: object | null
  server?: object | null
}

/**
 * Makes an accepted socket read into blocks. Node documents `onread` for `net.connect` only, so this moves the handle of
 * the accepted socket into a new one; where a future Node keeps it elsewhere, the socket is read the plain way. The server
 * must have `pauseOnConnect: true`. The answer replaces `accepted`, which must not be used any more.
 */
export function readIntoBlocks(accepted: net.Socket, reader: BlockReader): net.Socket {
  const before = accepted as unknown as Internals
  const handle = before._handle
  if (handle === null || handle === undefined) return accepted
  before._handle = null
  const options = { handle, onread: reader.onread, allowHalfOpen: true, pauseOnCreate: true }
  const socket = new net.Socket(options as unknown as net.SocketConstructorOpts)
  // The server counts its connections through these when the socket closes.
  const after = socket as unknown as Internals
  after._server = before._server ?? null
  after.server = before.server ?? null
  before._server = null
  accepted.destroy()
  return socket
}
