/** Most bytes of a connection that are looked at: a ClientHello with post-quantum keys has about 2,000. */
export const MAX_CLIENT_HELLO_BYTES = 16_384

/**
 * What the first bytes of a connection say: `more` where the ClientHello is not whole yet, `not-tls` where there is none
 * that could be read or it is too long, else the host name that it asks for, in lower case, where it asks for one.
 */
export type ClientHelloView = 'more' | 'not-tls' | { readonly serverName?: string }

/** RFC 8446 section 5.1. */
const RECORD_HEAD_BYTES = 5
const RECORD_HANDSHAKE = 22
const MAX_RECORD_BYTES = 16_384

/** RFC 8446 section 4. */
const MESSAGE_HEAD_BYTES = 4
const MESSAGE_CLIENT_HELLO = 1

/** RFC 8446 section 4.1.2: legacy_version and random. */
const FIXED_BYTES = 34
const MAX_SESSION_ID_BYTES = 32

/** RFC 6066 section 3. */
const EXTENSION_SERVER_NAME = 0
const NAME_TYPE_HOST = 0
const MAX_NAME_BYTES = 255

/**
 * Reads the TLS ClientHello at the start of a connection as it comes in, however it is cut into TLS records (RFC 8446
 * section 5.1) and chunks. It routes and proves nothing: what is wrong beyond the name is for the TLS server to say.
 * Never throws, and keeps at most {@link MAX_CLIENT_HELLO_BYTES} of its own.
 */
export class ClientHelloReader {
  readonly #recordHead = new Uint8Array(RECORD_HEAD_BYTES)
  #recordHeadLength = 0
  /** Bytes of the current record that are still to come. */
  #recordLeft = 0
  #message = new Uint8Array(MESSAGE_HEAD_BYTES)
  #messageLength = 0
  #total = 0
  #view: ClientHelloView = 'more'

  /** Takes the next bytes; they are not kept. Once the answer is not `more` it stays, and bytes are ignored. */
  push(chunk: Uint8Array): ClientHelloView {
    let at = 0
    while (at < chunk.length && this.#view === 'more') {
      const taken = this.#recordLeft === 0 ? this.#takeHead(chunk, at) : this.#takeContent(chunk, at)
      at += taken
      this.#total += taken
      if (this.#view === 'more' && this.#total >= MAX_CLIENT_HELLO_BYTES) this.#view = 'not-tls'
    }
    return this.#view
  }

  #takeHead(chunk: Uint8Array, at: number): number {
    const head = this.#recordHead
    head[this.#recordHeadLength++] = chunk[at] as number
    const length = ((head[3] as number) << 8) | (head[4] as number)
    const isWhole = this.#recordHeadLength === RECORD_HEAD_BYTES
    const isWrong =
      head[0] !== RECORD_HANDSHAKE ||
      (this.#recordHeadLength > 1 && head[1] !== 3) ||
      (isWhole && (length === 0 || length > MAX_RECORD_BYTES))
    if (isWrong) this.#view = 'not-tls'
    else if (isWhole) {
      this.#recordLeft = length
      this.#recordHeadLength = 0
    }
    return 1
  }

  #takeContent(chunk: Uint8Array, at: number): number {
    const message = this.#message
    const room = message.length - this.#messageLength
    const taken = Math.min(this.#recordLeft, chunk.length - at, room)
    message.set(chunk.subarray(at, at + taken), this.#messageLength)
    this.#messageLength += taken
    this.#recordLeft -= taken
    if (message[0] !== MESSAGE_CLIENT_HELLO) this.#view = 'not-tls'
    else if (this.#messageLength === message.length) this.#onFilled()
    return taken
  }

  /** The head of the message is there and tells its length, or the whole message is. */
  #onFilled(): void {
    const head = this.#message
    if (head.length > MESSAGE_HEAD_BYTES) {
      this.#view = viewOf(head)
      return
    }
    const length = ((head[1] as number) << 16) | ((head[2] as number) << 8) | (head[3] as number)
    if (length < FIXED_BYTES || length > MAX_CLIENT_HELLO_BYTES) {
      this.#view = 'not-tls'
      return
    }
    this.#message = new Uint8Array(MESSAGE_HEAD_BYTES + length)
    this.#message.set(head)
  }
}

/** Reads what a TLS presentation (RFC 8446 section 3) holds; `undefined` where it ends too early. */
class Cursor {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  take(length: number): Uint8Array | undefined {
    if (length > this.#bytes.length - this.#at) return undefined
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  /** A number of `width` bytes, at most 3. */
  number(width: number): number | undefined {
    return this.take(width)?.reduce((number, byte) => (number << 8) | byte, 0)
  }

  /** What is behind a length of `width` bytes. */
  vector(width: number): Uint8Array | undefined {
    const length = this.number(width)
    return length === undefined ? undefined : this.take(length)
  }
}

/** Looks at a whole ClientHello with the head of its message. */
function viewOf(message: Uint8Array): ClientHelloView {
  const hello = new Cursor(message.subarray(MESSAGE_HEAD_BYTES + FIXED_BYTES))
  const sessionId = hello.vector(1)
  const cipherSuites = hello.vector(2)
  const compression = hello.vector(1)
  if (sessionId === undefined || cipherSuites === undefined || compression === undefined) return 'not-tls'
  if (sessionId.length > MAX_SESSION_ID_BYTES) return 'not-tls'
  if (hello.isAtEnd) return {}
  const extensions = hello.vector(2)
  if (extensions === undefined || !hello.isAtEnd) return 'not-tls'
  return serverNameIn(new Cursor(extensions))
}

/** No extension may come twice (RFC 8446 section 4.2): two names would let two readers see two hosts. */
function serverNameIn(extensions: Cursor): ClientHelloView {
  let content: Uint8Array | undefined
  while (!extensions.isAtEnd) {
    const type = extensions.number(2)
    const bytes = extensions.vector(2)
    if (bytes === undefined || (type === EXTENSION_SERVER_NAME && content !== undefined)) return 'not-tls'
    if (type === EXTENSION_SERVER_NAME) content = bytes
  }
  return content === undefined ? {} : hostNameIn(new Cursor(content))
}

/** The one host name of a server_name extension; other types of names were never given out. */
function hostNameIn(extension: Cursor): ClientHelloView {
  const list = new Cursor(extension.vector(2) ?? new Uint8Array(0))
  const type = list.number(1)
  const name = list.vector(2)
  if (type !== NAME_TYPE_HOST || name === undefined || !list.isAtEnd || !extension.isAtEnd) return 'not-tls'
  if (name.length === 0 || name.length > MAX_NAME_BYTES) return 'not-tls'
  const text = String.fromCharCode(...name)
  // What is no plain text is no name that anybody publishes.
  return /^[!-~]+$/.test(text) ? { serverName: text.toLowerCase() } : {}
}
