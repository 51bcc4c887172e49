import net from 'node:net'

/** What Node keeps to itself of a socket. */
interface Handle {
  useUserBuffer?: (buffer: Uint8Array) => void
}

/** Where the bytes go: one memory for all reads, or what gives the memory for the next. */
type Landing = Uint8Array | (() => Uint8Array)

/** The properties behind the `onread` option, by the names that Node gives them; found once, on a socket made with the option. */
const symbols = ((): Record<'buffer' | 'callback' | 'generate', symbol> | undefined => {
  const probe = new net.Socket({ onread: { buffer: new Uint8Array(1), callback: () => true } })
  const own = new Map(Object.getOwnPropertySymbols(probe).map((symbol) => [symbol.description, symbol]))
  const [buffer, callback, generate] = ['kBuffer', 'kBufferCb', 'kBufferGen'].map((name) => own.get(name))
  if (buffer === undefined || callback === undefined || generate === undefined) return undefined
  return { buffer, callback, generate }
})()

/**
 * Makes a socket that is open already read into memory of ours. Node documents `onread` for `net.connect` and `new
 * net.Socket` only, not for accepted sockets nor for TLS of a server, so this sets what the option sets. What Node has read
 * already still comes by `data`. `onBytes` answers whether to go on reading; after false `socket.resume()` does.
 * @returns false, and nothing changed, where a future Node keeps it elsewhere: all then comes by `data`
 */
export function readInto(
  socket: net.Socket,
  landing: Landing,
  onBytes: (bytes: Uint8Array) => boolean,
): boolean {
  const inner = socket as unknown as Record<symbol, unknown> & { _handle?: Handle | null }
  const handle = inner._handle
  if (symbols === undefined || typeof handle?.useUserBuffer !== 'function') return false
  const generate = typeof landing === 'function' ? landing : null
  const first = typeof landing === 'function' ? landing() : landing
  inner[symbols.buffer] = first
  inner[symbols.generate] = generate
  inner[symbols.callback] = (length: number, buffer: Uint8Array) => onBytes(buffer.subarray(0, length))
  handle.useUserBuffer(first)
  return true
}
