import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeCbor } from '../../../shared/wire/cbor-reader.ts'
import { encodeCbor } from '../../../shared/wire/cbor-writer.ts'

const fromHex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

/** Bytes of a peer, by what is wrong with them, with what the refusal says. */
const REFUSED: Readonly<Record<string, readonly [string, RegExp]>> = {
  'nothing at all': ['', /cut off/],
  'an argument that is cut off': ['1903', /cut off/],
  'a text longer than what is left': ['6261', /cut off/],
  'a key longer than what is left': ['a1 63 6161', /cut off/],
  'bytes of 2^32 - 1 that are not there': ['5affffffff', /cut off/],
  'an array of 2^53 - 1 entries that are not there': ['9b001fffffffffffff', /cut off/],
  'a map of 2^32 entries that are not there': ['bb0000000100000000', /cut off/],
  'a map with more keys than values': ['a2 6161 01 6162', /cut off/],
  'a float that is cut off': ['fb3ff1999999', /cut off/],
  'something behind the map': ['a0 00', /behind/],
  'a number in one byte more than it needs': ['1817', /shortest/],
  'a number in two bytes that fits in one': ['1900ff', /shortest/],
  'a number in four bytes that fits in two': ['1a0000ffff', /shortest/],
  'a number in eight bytes that fits in four': ['1b00000000ffffffff', /shortest/],
  'a negative number in one byte more than it needs': ['3800', /shortest/],
  'a text whose length is not in the shortest form': ['780161', /shortest/],
  'a key whose length is not in the shortest form': ['a1 780161 01', /shortest/],
  'bytes whose length is not in the shortest form': ['580101', /shortest/],
  'an array whose length is not in the shortest form': ['9800', /shortest/],
  'a map whose length is not in the shortest form': ['b90000', /shortest/],
  'the number 2^53': ['1b0020000000000000', /beyond/],
  'the largest number there is': ['1bffffffffffffffff', /beyond/],
  'the number -2^53': ['3b001fffffffffffff', /below/],
  'a number below -2^53': ['3b0020000000000000', /beyond/],
  'bytes of indefinite length': ['5f4101ff', /indefinite/],
  'a text of indefinite length': ['7f6161ff', /indefinite/],
  'a key of indefinite length': ['a1 7f6161ff 01', /indefinite/],
  'an array of indefinite length': ['9f01ff', /indefinite/],
  'a map of indefinite length': ['bf616101ff', /indefinite/],
  'an end of what has no beginning': ['ff', /simple/],
  'a tag': ['c074323031332d30332d32315432303a30343a30305a', /tag/],
  'a big number': ['c249010000000000000000', /tag/],
  undefined: ['f7', /simple/],
  'a map with undefined in it': ['a1 6161 f7', /simple/],
  'a simple value without a name': ['f0', /simple/],
  'a simple value of two bytes': ['f8ff', /simple/],
  'a first byte that is reserved': ['1c', /reserves/],
  'a first byte of a text that is reserved': ['7e', /reserves/],
  'a short key that comes twice': ['a2 6161 01 6161 02', /twice/],
  'a long key that comes twice': [`a2 ${`78 18 ${'61'.repeat(24)} 01`.repeat(2)}`, /twice/],
  'the key toString twice': [`a2 ${'68 746f537472696e67 01'.repeat(2)}`, /twice/],
  'the key __proto__ twice': [`a2 ${'69 5f5f70726f746f5f5f f6'.repeat(2)}`, /twice/],
  'a key that is a number': ['a1 01 02', /no text/],
  'a key that is bytes': ['a1 41 61 02', /no text/],
  'a key that is an array': ['a1 80 02', /no text/],
  'a short text that is no UTF-8': ['61 ff', /UTF-8/],
  'a long text that is no UTF-8': [`78 18 ${'61'.repeat(23)} c3`, /UTF-8/],
  'a text with half of a surrogate pair': ['63 eda080', /UTF-8/],
  'a text in more bytes than UTF-8 needs': ['62 c080', /UTF-8/],
  'a key that is no UTF-8': ['a1 61 80 00', /UTF-8/],
  'nine arrays inside one another': [`${'81'.repeat(8)}80`, /inside one another/],
  'nine maps inside one another': [`${'a16161'.repeat(8)}a0`, /inside one another/],
  'arrays inside one another in all of a frame': [`${'81'.repeat(8_191)}80`, /inside one another/],
}

describe('the reader of CBOR', () => {
  for (const [what, [text, why]] of Object.entries(REFUSED)) {
    it(`refuses ${what}`, () => {
      assert.throws(() => decodeCbor(fromHex(text)), { code: 'PROTOCOL', detail: why })
    })
  }

  it('takes eight maps and arrays inside one another', () => {
    assert.deepEqual(decodeCbor(fromHex(`${'81'.repeat(7)}80`)), [[[[[[[[]]]]]]]])
  })

  it('takes keys in any order', () => {
    assert.deepEqual(decodeCbor(fromHex('a2 626262 01 6161 02')), { bb: 1, a: 2 })
  })

  it('takes keys that are called like what every object has, as its own', () => {
    const map = decodeCbor(
      fromHex('a3 69 5f5f70726f746f5f5f a1 6161 01 6b 636f6e7374727563746f72 02 61 78 03'),
    )
    assert.ok(map !== null && typeof map === 'object')
    assert.deepEqual(Object.entries(map), [
      ['__proto__', { a: 1 }],
      ['constructor', 2],
      ['x', 3],
    ])
    assert.equal(Object.getPrototypeOf(map), Object.prototype)
    assert.equal('a' in map, false)
  })

  it('does not take one key for another that it read before', () => {
    // Of the same length, and with the same first and last character.
    const keys = ['aaz', 'abz', 'a', '', 'aaz']
    for (const key of keys) assert.deepEqual(decodeCbor(encodeCbor({ [key]: 1 })), { [key]: 1 })
  })

  it('keeps a mark at the beginning of a text', () => {
    const text = `\ufeff${'a'.repeat(40)}`
    for (const marked of ['\ufeff', text]) assert.equal(decodeCbor(encodeCbor(marked)), marked)
  })

  it('gives bytes that stay when those it read are written over, also where threads share them', () => {
    for (const memory of [new ArrayBuffer(8), new SharedArrayBuffer(8)]) {
      const bytes = new Uint8Array(memory, 1, 4)
      bytes.set(fromHex('43010203'))
      for (const given of [bytes, Buffer.from(memory, 1, 4)]) {
        const value = decodeCbor(given)
        assert.ok(value instanceof Uint8Array && value.buffer instanceof ArrayBuffer)
        assert.deepEqual(value, fromHex('010203'))
        bytes[1] = 9
        assert.deepEqual(value, fromHex('010203'))
        bytes[1] = 1
      }
    }
  })

  it('reads texts out of memory that threads share', () => {
    const text = '0123456789abcdef'.repeat(4)
    const written = encodeCbor([text, 'tcp', 'ü'])
    const bytes = new Uint8Array(new SharedArrayBuffer(written.length))
    bytes.set(written)
    assert.deepEqual(decodeCbor(bytes), [text, 'tcp', 'ü'])
  })
})
