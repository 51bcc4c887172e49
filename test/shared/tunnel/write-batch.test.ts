import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { WriteBatch } from '../../../shared/tunnel/write-batch.ts'

interface Write {
  readonly bytes: Buffer
  readonly onWritten: () => void
}

function batch(): { batch: WriteBatch; writes: Write[] } {
  const writes: Write[] = []
  return { batch: new WriteBatch((bytes, onWritten) => writes.push({ bytes, onWritten })), writes }
}

const filled = (length: number, value: number) => new Uint8Array(length).fill(value)

describe('a batch of writes', () => {
  it('is one write of all that was put in, in order', () => {
    const { batch: out, writes } = batch()
    out.append(filled(3, 1))
    const at = out.reserve(2)
    out.buffer.set(filled(2, 2), at)
    assert.equal(writes.length, 0)
    out.flush()
    out.flush()
    assert.deepEqual(
      writes.map(({ bytes }) => [...bytes]),
      [[1, 1, 1, 2, 2]],
    )
  })

  it('is written early where the next bytes do not fit, without cutting them', () => {
    const { batch: out, writes } = batch()
    for (let value = 0; value < 5; value++) out.append(filled(16_384, value))
    out.flush()
    assert.deepEqual(
      writes.map(({ bytes }) => bytes.length),
      [65_536, 16_384],
    )
    assert.ok(writes[1]?.bytes.every((byte) => byte === 4))
  })

  it('leaves its memory alone until it was written, whatever comes next', () => {
    const { batch: out, writes } = batch()
    out.append(filled(10_000, 1))
    out.flush()
    out.append(filled(10_000, 2))
    out.flush()
    assert.ok(writes[0]?.bytes.every((byte) => byte === 1))
    writes[0]?.onWritten()
    out.append(filled(10_000, 3))
    out.flush()
    assert.equal(writes[2]?.bytes.buffer, writes[0]?.bytes.buffer, 'written memory is used again')
    assert.ok(writes[1]?.bytes.every((byte) => byte === 2))
  })

  it('does not keep a whole buffer for a few bytes, however long the peer takes', () => {
    const { batch: out, writes } = batch()
    out.append(filled(4_096, 1))
    out.flush()
    out.append(filled(4_096, 2))
    assert.notEqual(writes[0]?.bytes.buffer, out.buffer.buffer)
    assert.ok(writes[0]?.bytes.every((byte) => byte === 1))
  })

  it('takes no whole buffer for sockets with a little each, and none of them sees the other', () => {
    const many = Array.from({ length: 100 }, () => batch())
    for (const [value, { batch: out }] of many.entries()) {
      out.append(filled(2, value))
      out.append(filled(1, 200))
    }
    for (const { batch: out } of many) out.flush()
    assert.deepEqual(
      many.map(({ writes }) => writes.map(({ bytes }) => [...bytes])),
      many.map((_, value) => [[value, value, 200]]),
    )
    const memory = new Set(many.flatMap(({ writes }) => writes.map(({ bytes }) => bytes.buffer)))
    assert.ok(memory.size < 10, `${memory.size} buffers`)
  })

  it('keeps the order where a little came before much', () => {
    const { batch: out, writes } = batch()
    out.append(filled(4_000, 1))
    out.append(filled(4_000, 2))
    out.append(filled(1, 3))
    out.flush()
    assert.deepEqual(
      writes.map(({ bytes }) => [bytes.length, bytes[3_999], bytes[4_000], bytes[8_000]]),
      [[8_001, 1, 2, 3]],
    )
  })

  it('forgets what waits when it is cleared', () => {
    const { batch: out, writes } = batch()
    out.append(filled(5, 1))
    out.clear()
    out.append(filled(1, 2))
    out.flush()
    assert.deepEqual(
      writes.map(({ bytes }) => [...bytes]),
      [[2]],
    )
  })
})
