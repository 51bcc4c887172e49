/**
 * The frames of `sallyport.1` and their layout (docs/protocol.md section 3). Big endian throughout.
 *
 * ```
 *  byte 0   1      2..3          4..7         8..
 *  type   flags  length u16   stream id u32   payload
 * ```
 */

/** Bytes of the header of every frame. */
export const HEADER_BYTES = 8

/** Most payload bytes of one frame: with the header and a masked WebSocket header exactly one TLS record of 16,384. */
export const MAX_PAYLOAD_BYTES = 16_368

/** Bytes of the offset that opens the payload of DATA. */
export const OFFSET_BYTES = 8

/** Most stream bytes that one DATA frame carries. */
export const MAX_DATA_BYTES = MAX_PAYLOAD_BYTES - OFFSET_BYTES

/** Bytes a peer may send on a stream before it has seen a grant of its own (early data behind OPEN). */
export const INITIAL_CREDIT = 65_536

/** Largest offset: what a double counts exactly. A stream of that length would take centuries. */
export const MAX_OFFSET = Number.MAX_SAFE_INTEGER

/** Longest detail of RESET in bytes of UTF-8. */
export const MAX_DETAIL_BYTES = 256

/** Longest name of an agent in ROUTED, in bytes. */
export const MAX_AGENT_BYTES = 64

/** Longest CBOR item inside OPEN, OPEN_OK, GOAWAY, HELLO and NOTICE, in bytes. */
export const MAX_META_BYTES = 8_192

export const FRAME = {
  DATA: 0x00,
  OPEN: 0x01,
  OPEN_OK: 0x02,
  RESET: 0x03,
  CREDIT: 0x04,
  STOP: 0x05,
  PING: 0x06,
  PONG: 0x07,
  ACK: 0x08,
  GOAWAY: 0x09,
  HELLO: 0x0a,
  HELLO_OK: 0x0b,
  RESUME: 0x0e,
  PATH_LOST: 0x0f,
  NOTICE: 0x41,
  LINKS: 0x42,
  ROUTED: 0x43,
} as const

/** The range of types that a receiver which does not know them skips unread; unknown types outside it are fatal. */
export const SKIPPABLE = { from: 0x40, to: 0x7f } as const

export const FLAG = {
  /**
   * On DATA: the stream ends behind this payload. On CREDIT: the end itself was delivered. On PATH_LOST: the path is over,
   * and the stream may come back on another.
   */
  FIN: 0x01,
  /** On DATA and OPEN: the payload is ciphertext between the two endpoints. */
  SEALED: 0x02,
  /** On OPEN: the stream existed before and looks for a new path. */
  REATTACH: 0x04,
  /** On DATA: answer with ACK at once. */
  ACK_NOW: 0x08,
  /** On OPEN: both ends keep the stream when its path is lost, so the relay says PATH_LOST and not RESET. */
  RESUMABLE: 0x10,
} as const

/** The frames that are not DATA, decoded. `meta`, `earlyData` and `opaque` are memory of the frame (frame-memory.ts). */
export type ControlFrame =
  | {
      readonly type: 'OPEN'
      readonly id: number
      readonly flags: number
      readonly maxOffset: number
      readonly priority: number
      readonly hops: number
      readonly meta: Uint8Array
      readonly earlyData: Uint8Array
    }
  | { readonly type: 'OPEN_OK'; readonly id: number; readonly maxOffset: number; readonly meta: Uint8Array }
  | {
      readonly type: 'RESET'
      readonly id: number
      readonly code: number
      readonly consumed: number
      readonly detail: string
    }
  | {
      readonly type: 'CREDIT'
      readonly id: number
      readonly maxOffset: number
      readonly consumed: number
      readonly fin: boolean
    }
  | { readonly type: 'STOP'; readonly id: number; readonly code: number }
  | { readonly type: 'PING'; readonly id: 0; readonly opaque: Uint8Array }
  | { readonly type: 'PONG'; readonly id: 0; readonly opaque: Uint8Array }
  | { readonly type: 'ACK'; readonly id: 0; readonly received: number; readonly holdUs: number }
  | {
      readonly type: 'GOAWAY'
      readonly id: 0
      readonly code: number
      readonly lastId: number
      readonly drainMs: number
      readonly retryAfterMs: number
      readonly meta: Uint8Array
    }
  | { readonly type: 'HELLO'; readonly id: 0; readonly meta: Uint8Array }
  | { readonly type: 'HELLO_OK'; readonly id: 0; readonly meta: Uint8Array }
  | { readonly type: 'NOTICE'; readonly id: 0; readonly meta: Uint8Array }
  | { readonly type: 'LINKS'; readonly id: 0; readonly wanted: number }
  | { readonly type: 'RESUME'; readonly id: number; readonly received: number }
  | { readonly type: 'PATH_LOST'; readonly id: number; readonly fin: boolean }
  | { readonly type: 'ROUTED'; readonly id: number; readonly agent: string }

/** A control frame that belongs to a stream, not to the link. */
export type StreamFrame = Extract<
  ControlFrame,
  { type: 'OPEN_OK' | 'RESET' | 'CREDIT' | 'STOP' | 'RESUME' | 'PATH_LOST' | 'ROUTED' }
>
