import { TunnelError } from '../errors.ts'
import { INFO, MAJOR, MAX_DEPTH } from './cbor.ts'

/** Most bytes of what is written: twice what a frame takes, so that the frame says what is too long for it. */
const MAX_BYTES = 16_384

/** Longest text that a loop writes sooner than Node does, in characters. */
const MAX_LOOP_LENGTH = 64

/** Most bytes of an item's first byte and its argument. */
const MAX_HEAD_BYTES = 9

const UTF_8 = new TextEncoder()

const unwritable = (why: string) => new TunnelError('INTERNAL', `CBOR has no room for ${why}`)

/**
 * The bytes of `value`: null, booleans, whole numbers, texts, bytes, arrays and plain objects. Keys are sorted by length, then
 * by their bytes (RFC 8949 section 4.2.3); those with the value undefined are left out. The result is the caller's, and a
 * piece of a slab: whoever keeps it keeps 16 KiB.
 *
 * @throws {TunnelError} INTERNAL for a number that is not whole or beyond ±(2^53-1), a key that is not ASCII, more than 8
 * maps and arrays inside one another, a value of any other kind, and where 16,384 bytes are not room enough
 */
export function encodeCbor(value: unknown): Uint8Array {
  end = start
  writeItem(value, 0)
  const bytes = new Uint8Array(slab.buffer, start, end - start)
  start = end
  return bytes
}

/** Memory for some hundred maps. An OPEN is too long for V8's heap, and finding memory of its own would cost as much as writing it. */
let slab = new Uint8Array(MAX_BYTES)
/** Where the item under way begins; everything before was given out. */
let start = 0
/** Where it ends so far. */
let end = 0

function writeItem(value: unknown, depth: number): void {
  switch (typeof value) {
    case 'string':
      writeText(value)
      return
    case 'number':
      writeNumber(value)
      return
    case 'boolean':
      writeHead(MAJOR.simple, value ? INFO.true : INFO.false)
      return
    case 'object':
      writeObject(value, depth)
      return
    default:
      throw unwritable(`a value of the type ${typeof value}`)
  }
}

/** `depth`: how many maps and arrays `value` is in. */
function writeObject(value: object | null, depth: number): void {
  if (value === null) writeHead(MAJOR.simple, INFO.null)
  else if (value instanceof Uint8Array) writeBytes(MAJOR.bytes, value)
  else if (depth === MAX_DEPTH) throw unwritable('so many maps and arrays inside one another')
  else if (Array.isArray(value)) {
    writeHead(MAJOR.array, value.length)
    for (const item of value) writeItem(item, depth + 1)
  } else writeMap(value as Readonly<Record<string, unknown>>, depth)
}

function writeMap(map: Readonly<Record<string, unknown>>, depth: number): void {
  const keys = Object.keys(map)
  sortKeys(keys)
  let count = 0
  for (const key of keys) if (map[key] !== undefined) count++
  writeHead(MAJOR.map, count)
  for (const key of keys) {
    const value = map[key]
    if (value === undefined) continue
    // Among ASCII alone, the order of characters is that of bytes.
    if (!writeAscii(key)) throw unwritable('a key that is not ASCII')
    writeItem(value, depth + 1)
  }
}

/** In place, by insertion: there are few keys, and Node's sort would call back for each pair. */
function sortKeys(keys: string[]): void {
  for (let next = 1; next < keys.length; next++) {
    const key = keys[next] as string
    let at = next
    for (; at > 0 && comesBefore(key, keys[at - 1] as string); at--) keys[at] = keys[at - 1] as string
    keys[at] = key
  }
}

function comesBefore(key: string, other: string): boolean {
  return key.length === other.length ? key < other : key.length < other.length
}

function writeText(text: string): void {
  if (text.length <= MAX_LOOP_LENGTH && writeAscii(text)) return
  writeBytes(MAJOR.text, UTF_8.encode(text))
}

/** False, and nothing is written, where `text` is not ASCII. */
function writeAscii(text: string): boolean {
  const before = end - start
  writeHead(MAJOR.text, text.length)
  reserve(text.length)
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) {
      end = start + before
      return false
    }
    slab[end++] = code
  }
  return true
}

function writeBytes(major: number, bytes: Uint8Array): void {
  writeHead(major, bytes.length)
  reserve(bytes.length)
  slab.set(bytes, end)
  end += bytes.length
}

function writeNumber(value: number): void {
  if (!Number.isSafeInteger(value)) throw unwritable(`the number ${value}`)
  if (value >= 0) writeHead(MAJOR.uint, value)
  else writeHead(MAJOR.negative, -1 - value)
}

/** The first byte of an item and its argument, in the shortest form (RFC 8949 section 3). */
function writeHead(major: number, argument: number): void {
  reserve(MAX_HEAD_BYTES)
  const type = major << 5
  if (argument < 24) slab[end++] = type | argument
  else if (argument < 0x100) writeArgument(type | INFO.u8, argument, 1)
  else if (argument < 0x1_0000) writeArgument(type | INFO.u16, argument, 2)
  else if (argument < 0x1_0000_0000) writeArgument(type | INFO.u32, argument, 4)
  else writeArgument(type | INFO.u64, argument, 8)
}

function writeArgument(first: number, argument: number, width: number): void {
  slab[end++] = first
  let rest = argument
  for (let at = end + width - 1; at >= end; at--) {
    slab[at] = rest % 0x100
    rest = Math.floor(rest / 0x100)
  }
  end += width
}

/** Room for `bytes` more. Where the slab has none, what is written of the item moves to the next one. */
function reserve(bytes: number): void {
  if (end + bytes <= MAX_BYTES) return
  if (end - start + bytes > MAX_BYTES) throw unwritable(`more than ${MAX_BYTES} bytes`)
  const next = new Uint8Array(MAX_BYTES)
  next.set(slab.subarray(start, end))
  slab = next
  end -= start
  start = 0
}
