import { TunnelError } from '../errors.ts'
import { INFO, MAJOR, MAX_DEPTH } from './cbor.ts'

/** Longest text that a loop reads sooner than Node does, in bytes. */
const MAX_LOOP_LENGTH = 15

/** Keys that were read lately, each where `slotOf` says; a peer can make them useless, and no more than that. */
const KEYS = Array<string>(64).fill('')

const UTF_8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

const refused = (why: string) => new TunnelError('PROTOCOL', why)

/**
 * The value of the one item in `bytes`: null, booleans, numbers, texts, bytes, arrays and plain objects. Bytes in it are copies,
 * so that `bytes` is needed for this call only. Keys may come in any order. Floats of any width are taken: no map of ours has
 * one, a later revision may.
 *
 * @throws {TunnelError} PROTOCOL where it is anything else: cut off, with something behind it, not in the shortest form, of
 * indefinite length, nested more than 8 deep, with a tag, `undefined` or another simple value, with a key twice or one that is
 * no text, with text that is no UTF-8, or with an integer beyond ±(2^53-1)
 */
export function decodeCbor(bytes: Uint8Array): unknown {
  const reader = new CborReader(bytes)
  const value = reader.item(0)
  if (!reader.isAtEnd) throw refused('something behind the item')
  return value
}

/** No two keys of OPEN and OPEN_OK have the same; those of the greetings may. */
function slotOf(first: number, last: number, length: number): number {
  return (first * 5 + last * 3 + length) & 63
}

/** A float of 16 bits (RFC 8949 appendix D). */
function half(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >>> 10) & 0x1f
  const fraction = bits & 0x3ff
  if (exponent === 0x1f) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN
  return sign * (exponent === 0 ? fraction * 2 ** -24 : (fraction + 0x400) * 2 ** (exponent - 25))
}

function shortest(value: number, least: number): number {
  if (value < least) throw refused('a number or a length that is not in the shortest form')
  if (value > Number.MAX_SAFE_INTEGER) throw refused('a number beyond 2^53-1')
  return value
}

class CborReader {
  readonly #bytes: Uint8Array
  #at = 0

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes
  }

  get isAtEnd(): boolean {
    return this.#at === this.#bytes.length
  }

  /** The next item; `depth`: how many maps and arrays it is in. */
  item(depth: number): unknown {
    const first = this.#take(1)
    const info = first & 0x1f
    switch (first >>> 5) {
      case MAJOR.uint:
        return this.#argument(info)
      case MAJOR.negative:
        return this.#negative(info)
      case MAJOR.bytes:
        return this.#byteString(info)
      case MAJOR.text:
        return this.#text(info)
      case MAJOR.array:
        return this.#array(info, depth)
      case MAJOR.map:
        return this.#map(info, depth)
      case MAJOR.tag:
        throw refused('a tag')
      default:
        return this.#simple(info)
    }
  }

  #negative(info: number): number {
    const value = -1 - this.#argument(info)
    if (value < Number.MIN_SAFE_INTEGER) throw refused('a number below -(2^53-1)')
    return value
  }

  #byteString(info: number): Uint8Array {
    const bytes = this.#bytes
    const from = this.#skip(info)
    const copy = new Uint8Array(this.#at - from)
    // Most are 16 bytes, for which a loop is done before `set` has begun.
    for (let index = 0; index < copy.length; index++) copy[index] = bytes[from + index] as number
    return copy
  }

  #text(info: number): string {
    const bytes = this.#bytes
    const from = this.#skip(info)
    if (this.#at - from > MAX_LOOP_LENGTH) return this.#utf8(from)
    let text = ''
    for (let at = from; at < this.#at; at++) {
      const byte = bytes[at] as number
      if (byte > 0x7f) return this.#utf8(from)
      text += String.fromCharCode(byte)
    }
    return text
  }

  #utf8(from: number): string {
    try {
      return UTF_8.decode(this.#bytes.subarray(from, this.#at))
    } catch {
      throw refused('text that is no UTF-8')
    }
  }

  /** A key that was read before is found again: that takes half the time of making the text and looking it up as a key. */
  #key(): string {
    const first = this.#take(1)
    if (first >>> 5 !== MAJOR.text) throw refused('a key that is no text')
    const length = first & 0x1f
    if (length > Math.min(MAX_LOOP_LENGTH, this.#left())) return this.#text(length)
    const slot = slotOf(this.#bytes[this.#at] as number, this.#bytes[this.#at + length - 1] as number, length)
    const known = KEYS[slot] as string
    if (known.length === length && this.#isNext(known)) {
      this.#at += length
      return known
    }
    const key = this.#text(length)
    KEYS[slot] = key
    return key
  }

  #isNext(ascii: string): boolean {
    for (let index = 0; index < ascii.length; index++) {
      if (ascii.charCodeAt(index) !== this.#bytes[this.#at + index]) return false
    }
    return true
  }

  #array(info: number, depth: number): unknown[] {
    const count = this.#count(info, depth, 1)
    const items: unknown[] = []
    for (let index = 0; index < count; index++) items.push(this.item(depth + 1))
    return items
  }

  #map(info: number, depth: number): object {
    const count = this.#count(info, depth, 2)
    const map: Record<string, unknown> = {}
    for (let index = 0; index < count; index++) {
      const key = this.#key()
      // The first question is the quick one; the second is for what every object has, such as toString.
      if (map[key] !== undefined && Object.hasOwn(map, key)) throw refused('a key twice')
      const value = this.item(depth + 1)
      if (key !== '__proto__') map[key] = value
      // Assigned, it would become the prototype.
      else Object.defineProperty(map, key, { value, configurable: true, enumerable: true, writable: true })
    }
    return map
  }

  /** How many entries an array or a map has, of at least `width` bytes each. */
  #count(info: number, depth: number, width: number): number {
    const count = this.#argument(info)
    if (depth === MAX_DEPTH) throw refused('too many maps and arrays inside one another')
    if (count > this.#left() / width) throw refused('cut off')
    return count
  }

  /** Goes behind the bytes of a string. Returns where they begin. */
  #skip(info: number): number {
    const length = this.#argument(info)
    if (length > this.#left()) throw refused('cut off')
    const from = this.#at
    this.#at += length
    return from
  }

  /** RFC 8949 section 3.3. */
  #simple(info: number): unknown {
    switch (info) {
      case INFO.false:
        return false
      case INFO.true:
        return true
      case INFO.null:
        return null
      case INFO.u16:
        return half(this.#take(2))
      case INFO.u32:
        return this.#floatBytes(4).getFloat32(0)
      case INFO.u64:
        return this.#floatBytes(8).getFloat64(0)
      default:
        throw refused('a simple value that nobody agreed on')
    }
  }

  #floatBytes(width: number): DataView {
    const from = this.#at
    this.#take(width)
    return new DataView(this.#bytes.buffer, this.#bytes.byteOffset + from, width)
  }

  #argument(info: number): number {
    if (info < 24) return info
    switch (info) {
      case INFO.u8:
        return shortest(this.#take(1), 24)
      case INFO.u16:
        return shortest(this.#take(2), 0x100)
      case INFO.u32:
        return shortest(this.#take(4), 0x1_0000)
      case INFO.u64:
        return shortest(this.#take(8), 0x1_0000_0000)
      case INFO.indefinite:
        throw refused('an indefinite length')
      default:
        throw refused('a first byte that RFC 8949 reserves')
    }
  }

  /** The next `width` bytes as a number, big endian; from 2^53 on it is not exact. */
  #take(width: number): number {
    if (width > this.#left()) throw refused('cut off')
    let value = 0
    for (let count = 0; count < width; count++) value = value * 0x100 + (this.#bytes[this.#at++] as number)
    return value
  }

  #left(): number {
    return this.#bytes.length - this.#at
  }
}
