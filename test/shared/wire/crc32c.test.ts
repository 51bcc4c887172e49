import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { crc32c } from '../../../shared/wire/crc32c.ts'

describe('CRC32c', () => {
  it('is that of the examples of RFC 3720, section B.4', () => {
    const examples = [
      [Buffer.alloc(32), 'aa36918a'],
      [Buffer.alloc(32, 0xff), '43aba862'],
      [Buffer.from(Array.from({ length: 32 }, (_, i) => i)), '4e79dd46'],
      [Buffer.from(Array.from({ length: 32 }, (_, i) => 31 - i)), '5cdb3f11'],
    ] as const
    for (const [bytes, littleEndian] of examples) {
      const crc = Buffer.alloc(4)
      crc.writeUInt32LE(crc32c(bytes))
      assert.equal(crc.toString('hex'), littleEndian)
    }
  })

  it('is the check value of its catalogue, and 0 of nothing', () => {
    assert.equal(crc32c(Buffer.from('123456789')), 0xe306_9283)
    assert.equal(crc32c(Buffer.alloc(0)), 0)
  })
})
