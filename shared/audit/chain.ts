import { hash } from 'node:crypto'
import { printable } from '../cli/printable.ts'

/** What stands before the first record of a chain: 32 zero bytes. */
export const CHAIN_START: Uint8Array = new Uint8Array(32)

/**
 * The hash of a record: SHA-256 over the domain, the hash of the record before, and the fields as one JSON array in fixed order,
 * which RFC 8785 writes in the same bytes.
 *
 * @param domain tells these bytes from everything else that is hashed or signed; ends with a line break
 * @param before 32 bytes
 */
export function chainHash(domain: string, before: Uint8Array, fields: readonly (string | number)[]): Buffer {
  const text = JSON.stringify(fields)
  const most = domain.length + before.length + 3 * text.length
  if (input.length < most) input = Buffer.allocUnsafeSlow(most)
  let length = input.write(domain, 'latin1')
  input.set(before, length)
  length += before.length
  length += input.write(text, length)
  return hash('sha256', input.subarray(0, length), 'buffer')
}

/** What is hashed is put together here; it grows to the longest record there was. */
let input = Buffer.allocUnsafeSlow(8_192)

/** What nothing has to be done about, which is most. */
const PLAIN = /^[\x20-\x7e]*$/

/**
 * A text from outside as a record keeps it: control characters, line separators and characters that turn the direction of text
 * are visible escapes, so that no record can look like two. What is longer than `max` UTF-16 units ends in an ellipsis.
 */
export function boundedText(text: string, max: number): string {
  if (text.length <= max && PLAIN.test(text)) return text
  // Cut before it is escaped too: what comes from outside may be long, and an escape is six times as long.
  const clean = printable(text.slice(0, max + 1).toWellFormed())
  return clean.length <= max ? clean : `${clean.slice(0, max - 1)}…`.toWellFormed()
}
