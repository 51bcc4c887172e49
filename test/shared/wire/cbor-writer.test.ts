import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decodeCbor } from '../../../shared/wire/cbor-reader.ts'
import { encodeCbor } from '../../../shared/wire/cbor-writer.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('the writer of CBOR', () => {
  const inside = (depth: number): unknown => (depth === 0 ? 1 : [inside(depth - 1)])
  const unwritable: Readonly<Record<string, unknown>> = {
    'a fraction': 0.5,
    'a number beyond 2^53-1': 2 ** 53,
    'a number that is none': Number.NaN,
    'a bigint': 1n,
    'undefined in an array': [undefined],
    'a function': () => {},
    'a key that is not ASCII': { ü: 1 },
    'a key that is not ASCII among others': { a: 1, 'a longer key that ends in \u{1f511}': 1 },
    'nine arrays inside one another': inside(9),
    'more than 16,384 bytes': new Uint8Array(16_384),
    'more than 16,384 characters': 'a'.repeat(16_384),
    'an array without an end': (() => {
      const endless: unknown[] = []
      endless.push(endless)
      return endless
    })(),
  }
  for (const [what, value] of Object.entries(unwritable)) {
    it(`refuses ${what}, and goes on with the next value`, () => {
      assert.throws(() => encodeCbor({ before: 'x', value }), { code: 'INTERNAL' })
      assert.equal(hex(encodeCbor({ a: 1 })), 'a1616101')
    })
  }

  it('writes eight arrays inside one another', () => {
    assert.equal(hex(encodeCbor(inside(8))), `${'81'.repeat(8)}01`)
  })

  it('writes -0 as 0', () => assert.equal(hex(encodeCbor(-0)), '00'))

  it('sorts keys by their length, then by their bytes', () => {
    const map = { ab: 1, Z: 2, aa: 3, b: 4, '': 5, a: 6, 1: 7 }
    assert.equal(
      hex(encodeCbor(map)),
      'a7 6005 613107 615a02 616106 616204 62616103 62616201'.replaceAll(' ', ''),
    )
  })

  it('writes no key whose value is undefined', () => {
    assert.equal(
      hex(encodeCbor({ a: undefined, b: 1, c: { d: undefined } })),
      'a261620161 63a0'.replace(' ', ''),
    )
  })

  it('gives bytes that stay, however much is written after them', () => {
    const values = Array.from({ length: 400 }, (_, index) => ({ index, text: 'x'.repeat(index) }))
    const written = values.map((value) => encodeCbor(value))
    assert.deepEqual(written.map(decodeCbor), values)
  })

  it('writes the largest value that it takes wherever it stands in its memory', () => {
    const largest = new Uint8Array(16_384 - 9).fill(7)
    for (let count = 0; count < 3; count++) {
      assert.deepEqual(decodeCbor(encodeCbor(largest)), largest)
      encodeCbor({ a: 1 })
    }
  })
})
