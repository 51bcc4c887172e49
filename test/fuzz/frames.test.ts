import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { FrameReader } from '../../shared/mux/frame-reader.ts'

describe('a reader', () => {
  test('keeps at most one control frame, whatever it waits for', () => {
    const before = process.memoryUsage().arrayBuffers
    const readers = Array.from({ length: 300 }, () => {
      const reader = new FrameReader({ data: () => {}, control: () => {} })
      reader.push(Uint8Array.of(1, 0, 0x3f, 0xf0, 0, 0, 0, 1))
      for (let count = 0; count < 1_000; count++) reader.push(Uint8Array.of(count & 0xff))
      return reader
    })
    const kept = (process.memoryUsage().arrayBuffers - before) / readers.length
    // Single bytes that were read lie about until they are collected; a frame of 16 KiB is what is really kept.
    assert.ok(kept < 3 * 16_384, `${kept} bytes a reader`)
    for (const reader of readers) assert.equal(reader.isAtBoundary, false)
  })
})
