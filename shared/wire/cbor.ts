/**
 * CBOR (RFC 8949) as docs/protocol.md section 2 has it: text keys that come once, definite lengths, everything in the
 * shortest form, no tags, no `undefined`. A reader and a writer of our own, because every stream costs two maps at each end
 * and a library for all of CBOR makes a token of each field on the way.
 */

/** Major types of RFC 8949 section 3.1: the three upper bits of an item's first byte. */
export const MAJOR = {
  uint: 0,
  negative: 1,
  bytes: 2,
  text: 3,
  array: 4,
  map: 5,
  tag: 6,
  /** Simple values and floats. */
  simple: 7,
} as const

/** What stands in the five lower bits of a first byte, where it is no number below 24. */
export const INFO = {
  false: 20,
  true: 21,
  null: 22,
  u8: 24,
  u16: 25,
  u32: 26,
  u64: 27,
  indefinite: 31,
} as const

/** Most maps and arrays inside one another, the outermost counted: what a peer sends must not use up the stack. */
export const MAX_DEPTH = 8
