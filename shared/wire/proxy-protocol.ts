import { canonicalAddress } from '../policy/address.ts'
import { formatIp, parseIp } from '../policy/ip.ts'
import { crc32c } from './crc32c.ts'

/**
 * What a proxy says at the start of a connection: `more` where its header is not whole yet, why there is none that holds,
 * or whose connection it brings. `source` is the address of the client in canonical form, IPv4 as such; it is absent where
 * the proxy speaks for itself, as for its health checks, or does not know. `rest` is what follows in the last chunk, a view.
 */
export type ProxyHeaderView =
  | 'more'
  | { readonly refused: string }
  | { readonly source?: string; readonly rest: Uint8Array }

/** haproxy's proxy-protocol.txt, section 2.1: the longest line with its CR LF, in bytes. */
const MAX_LINE_BYTES = 107
const LINE_START = Buffer.from('PROXY ')

/** Section 2.2. */
const SIGNATURE = Buffer.from('\r\n\r\n\0\r\nQUIT\n', 'latin1')
const HEAD_BYTES = 16
const VERSION = 2
const COMMAND_LOCAL = 0
const COMMAND_PROXY = 1
const FAMILY_UNSPECIFIED = 0x00
const FAMILY_TCP4 = 0x11
const FAMILY_TCP6 = 0x21

/** Section 2.2.3. */
const TYPE_CRC32C = 0x03

/** Most bytes of a binary header behind its head; the protocol would let it have 65,535. */
export const MAX_PROXY_BODY_BYTES = 4_096
const MAX_BYTES = HEAD_BYTES + MAX_PROXY_BODY_BYTES

/** Whose connection it is, before what follows is known. */
type Found = { readonly refused: string } | { readonly source?: string }

/**
 * Reads the header of the PROXY protocol, version 1 or 2 (https://www.haproxy.org/download/3.2/doc/proxy-protocol.txt), as
 * it comes in, however it is cut. Its extensions are skipped, but for the checksum, which must hold where it is there.
 * Never throws, and keeps at most 4,112 bytes.
 */
export class ProxyHeaderReader {
  readonly #bytes = Buffer.allocUnsafe(MAX_BYTES)
  #length = 0
  #view: ProxyHeaderView = 'more'

  /** Takes the next bytes and copies those of the header. Once the answer is not `more` it stays, and bytes are ignored. */
  push(chunk: Uint8Array): ProxyHeaderView {
    if (this.#view !== 'more') return this.#view
    const before = this.#length
    const taken = chunk.subarray(0, MAX_BYTES - before)
    this.#bytes.set(taken, before)
    this.#length = before + taken.length
    const bytes = this.#bytes.subarray(0, this.#length)
    const end = endOf(bytes)
    if (end === 'more') return 'more'
    if (typeof end !== 'number') this.#view = end
    else {
      const header = bytes.subarray(0, end)
      const found = header[0] === LINE_START[0] ? readLine(header) : readBinary(header)
      this.#view = 'refused' in found ? found : { ...found, rest: chunk.subarray(end - before) }
    }
    return this.#view
  }
}

/** True where `bytes` begin as a header of either version does: for who was sent one without having asked. */
export function looksLikeProxyHeader(bytes: Uint8Array): boolean {
  return [LINE_START, SIGNATURE].some((start) => bytes.length >= start.length && beginsAs(bytes, start))
}

/** How long the header is, as soon as it is whole. */
function endOf(bytes: Buffer): number | 'more' | { readonly refused: string } {
  if (bytes.length === 0) return 'more'
  if (beginsAs(bytes, LINE_START)) return endOfLine(bytes)
  if (beginsAs(bytes, SIGNATURE)) return endOfBinary(bytes)
  return { refused: 'there is no PROXY header' }
}

/** True where one is the beginning of the other. */
function beginsAs(bytes: Uint8Array, start: Buffer): boolean {
  const length = Math.min(bytes.length, start.length)
  return start.subarray(0, length).equals(bytes.subarray(0, length))
}

function endOfLine(bytes: Buffer): number | 'more' | { readonly refused: string } {
  const feed = bytes.subarray(0, MAX_LINE_BYTES).indexOf(0x0a)
  if (feed > 0) return feed + 1
  return bytes.length < MAX_LINE_BYTES
    ? 'more'
    : { refused: `the line is longer than ${MAX_LINE_BYTES} bytes` }
}

function endOfBinary(bytes: Buffer): number | 'more' | { readonly refused: string } {
  if (bytes.length < HEAD_BYTES) return 'more'
  const length = bytes.readUInt16BE(HEAD_BYTES - 2)
  if (length > MAX_PROXY_BODY_BYTES)
    return { refused: `it announces ${length} bytes, which is more than ${MAX_PROXY_BODY_BYTES}` }
  return bytes.length < HEAD_BYTES + length ? 'more' : HEAD_BYTES + length
}

/** Section 2.1: exactly one space between the fields, and what cannot be read exactly is refused. */
function readLine(header: Buffer): Found {
  const line = header.toString('latin1')
  if (/^PROXY UNKNOWN(?: [^\r\n]*)?\r\n$/.test(line)) return {}
  const fields = /^PROXY TCP([46]) ([^ ]+) ([^ ]+) ([0-9]{1,5}) ([0-9]{1,5})\r\n$/.exec(line)
  if (fields === null) return { refused: 'the line is not as version 1 has it' }
  const [, family, source = '', destination = '', ...ports] = fields
  const isOfFamily = (address: string) => parseIp(address)?.family === Number(family)
  if (!isOfFamily(source) || !isOfFamily(destination))
    return { refused: `an address is none of TCP${family}` }
  if (!ports.every(isPort)) return { refused: 'a port is none' }
  return sourced(source)
}

function isPort(text: string): boolean {
  return /^(?:0|[1-9][0-9]*)$/.test(text) && Number(text) <= 0xffff
}

/** Section 2.2. */
function readBinary(header: Buffer): Found {
  const versionAndCommand = header.readUInt8(SIGNATURE.length)
  const family = header.readUInt8(SIGNATURE.length + 1)
  const [version, command] = [versionAndCommand >>> 4, versionAndCommand & 0x0f]
  if (version !== VERSION) return { refused: `its version is ${version}` }
  if (command === COMMAND_LOCAL) return {}
  if (command !== COMMAND_PROXY) return { refused: `its command is ${command}` }
  if (family === FAMILY_UNSPECIFIED) return {}
  if (family === FAMILY_TCP4) return readAddresses(header, 4)
  if (family === FAMILY_TCP6) return readAddresses(header, 16)
  return { refused: `its family and transport are 0x${family.toString(16).padStart(2, '0')}` }
}

/** Two addresses of `size` bytes, two ports, then extensions. */
function readAddresses(header: Buffer, size: 4 | 16): Found {
  const extensions = HEAD_BYTES + 2 * size + 4
  if (header.length < extensions) return { refused: 'the addresses are cut off' }
  const fault = faultOfExtensions(header, extensions)
  if (fault !== undefined) return { refused: fault }
  const bits = BigInt(`0x${header.toString('hex', HEAD_BYTES, HEAD_BYTES + size)}`)
  return sourced(formatIp({ family: size === 4 ? 4 : 6, bits }))
}

/** What is wrong with the type-length-values from `at` on (section 2.2). */
function faultOfExtensions(header: Buffer, from: number): string | undefined {
  let checksum: number | undefined
  for (let at = from; at < header.length; ) {
    if (header.length - at < 3) return 'an extension is cut off'
    const [type, length, value] = [header.readUInt8(at), header.readUInt16BE(at + 1), at + 3]
    if (length > header.length - value) return 'an extension is cut off'
    if (type === TYPE_CRC32C) {
      if (length !== 4 || checksum !== undefined) return 'the checksum is not one of 4 bytes'
      checksum = value
    }
    at = value + length
  }
  return checksum === undefined || hasChecksum(header, checksum) ? undefined : 'the checksum is wrong'
}

/** Section 2.2.3: over the whole header, with zeros in the place of the checksum. */
function hasChecksum(header: Buffer, at: number): boolean {
  const zeroed = Buffer.from(header).fill(0, at, at + 4)
  return crc32c(zeroed) === header.readUInt32BE(at)
}

/** An address that only wraps IPv4 for a socket (::ffff:0:0/96) is that of IPv4, as everywhere. */
function sourced(address: string): Found {
  const canonical = canonicalAddress(address)
  return canonical === undefined ? { refused: 'its address is none' } : { source: canonical.dial }
}
