import { DATA_HEAD_BYTES, encodeControl, writeDataHead } from '../../../shared/mux/encode.ts'
import { FLAG } from '../../../shared/mux/frame.ts'
import { FrameReader } from '../../../shared/mux/frame-reader.ts'
import type { AnyFrame, DataFrame } from './frame-vectors.ts'

/** One call of the reader's listener for DATA, its bytes copied. */
export interface DataPiece {
  readonly id: number
  readonly flags: number
  readonly offset: number
  readonly bytes: Uint8Array
  readonly wireBytes: number
}

/** A reader that remembers what it found. Bytes are copied, because views of control frames are the reader's. */
export function createCollector(): {
  reader: FrameReader
  pieces: DataPiece[]
  /** Every frame in order; the pieces of a DATA frame are joined where they are neighbours. */
  frames: () => AnyFrame[]
} {
  const pieces: DataPiece[] = []
  const found: (AnyFrame | DataPiece)[] = []
  const reader = new FrameReader({
    data(id, flags, offset, bytes, wireBytes) {
      const piece = { id, flags, offset, bytes: bytes.slice(), wireBytes }
      pieces.push(piece)
      found.push(piece)
    },
    control: (frame) => found.push(copied(frame)),
  })
  return { reader, pieces, frames: () => joined(found) }
}

/** The frame with every byte field in memory of its own. */
function copied(frame: AnyFrame): AnyFrame {
  return Object.fromEntries(
    Object.entries(frame).map(([key, value]) => [key, value instanceof Uint8Array ? value.slice() : value]),
  ) as unknown as AnyFrame
}

function joined(found: readonly (AnyFrame | DataPiece)[]): AnyFrame[] {
  const frames: AnyFrame[] = []
  let open: DataFrame | undefined
  for (const item of found) {
    if ('type' in item) {
      frames.push(item)
      continue
    }
    const { id, flags, offset, bytes, wireBytes } = item
    const before: Uint8Array = open?.bytes ?? new Uint8Array(0)
    open = {
      type: 'DATA',
      id,
      flags: open === undefined ? flags : flags | (open.flags & ~FLAG.FIN),
      offset: open?.offset ?? offset,
      bytes: Uint8Array.from([...before, ...bytes]),
    }
    // Only the last piece of a frame counts the head, so it is the one that is larger on the wire than its bytes.
    if (wireBytes === bytes.length) continue
    frames.push(open)
    open = undefined
  }
  return frames
}

/** The bytes of any frame, DATA included, by the encoder under test. */
export function encodeAny(frame: AnyFrame): Uint8Array {
  if (frame.type !== 'DATA') return encodeControl(frame)
  const bytes = new Uint8Array(DATA_HEAD_BYTES + frame.bytes.length)
  writeDataHead(bytes, 0, {
    id: frame.id,
    flags: frame.flags,
    offset: frame.offset,
    length: frame.bytes.length,
  })
  bytes.set(frame.bytes, DATA_HEAD_BYTES)
  return bytes
}
