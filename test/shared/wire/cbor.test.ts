import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as oracle from 'cborg'
import fc from 'fast-check'
import { decodeCbor } from '../../../shared/wire/cbor-reader.ts'
import { encodeCbor } from '../../../shared/wire/cbor-writer.ts'

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')
const fromHex = (text: string) => Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'))

/** RFC 8949 appendix A: what the protocol's form allows and we write as well as read. */
const BOTH_WAYS: readonly (readonly [unknown, string])[] = [
  [0, '00'],
  [1, '01'],
  [10, '0a'],
  [23, '17'],
  [24, '1818'],
  [25, '1819'],
  [100, '1864'],
  [1_000, '1903e8'],
  [1_000_000, '1a000f4240'],
  [1_000_000_000_000, '1b000000e8d4a51000'],
  [-1, '20'],
  [-10, '29'],
  [-100, '3863'],
  [-1_000, '3903e7'],
  [false, 'f4'],
  [true, 'f5'],
  [null, 'f6'],
  [fromHex(''), '40'],
  [fromHex('01020304'), '4401020304'],
  ['', '60'],
  ['a', '6161'],
  ['IETF', '6449455446'],
  ['"\\', '62225c'],
  ['ü', '62c3bc'],
  ['水', '63e6b0b4'],
  ['𐅑', '64f0908591'],
  [[], '80'],
  [[1, 2, 3], '83010203'],
  [[1, [2, 3], [4, 5]], '8301820203820405'],
  [
    Array.from({ length: 25 }, (_, index) => index + 1),
    '98190102030405060708090a0b0c0d0e0f101112131415161718181819',
  ],
  [{}, 'a0'],
  [{ a: 1, b: [2, 3] }, 'a26161016162820203'],
  [['a', { b: 'c' }], '826161a161626163'],
  [{ a: 'A', b: 'B', c: 'C', d: 'D', e: 'E' }, 'a56161614161626142616361436164614461656145'],
  // The bounds of each width, which the appendix has not all.
  [0xff, '18ff'],
  [0x100, '190100'],
  [0xffff, '19ffff'],
  [0x1_0000, '1a00010000'],
  [0xffff_ffff, '1affffffff'],
  [0x1_0000_0000, '1b0000000100000000'],
  [Number.MAX_SAFE_INTEGER, '1b001fffffffffffff'],
  [Number.MIN_SAFE_INTEGER, '3b001ffffffffffffe'],
]

/** Floats of the same appendix, which are read only. */
const FLOATS: readonly (readonly [number, string])[] = [
  [0, 'f90000'],
  [-0, 'f98000'],
  [1, 'f93c00'],
  [1.1, 'fb3ff199999999999a'],
  [1.5, 'f93e00'],
  [65_504, 'f97bff'],
  [100_000, 'fa47c35000'],
  [3.4028234663852886e38, 'fa7f7fffff'],
  [1e300, 'fb7e37e43c8800759c'],
  [2 ** -24, 'f90001'],
  [2 ** -14, 'f90400'],
  [-4, 'f9c400'],
  [-4.1, 'fbc010666666666666'],
  [Number.POSITIVE_INFINITY, 'f97c00'],
  [Number.NaN, 'f97e00'],
  [Number.NEGATIVE_INFINITY, 'f9fc00'],
  [Number.POSITIVE_INFINITY, 'fa7f800000'],
  [Number.NaN, 'fb7ff8000000000000'],
]

const NUMBERS = fc.maxSafeInteger().filter((number) => !Object.is(number, -0))
// cborg drops a mark at the beginning of a text, and we keep it.
const TEXTS = fc
  .oneof(fc.string({ maxLength: 80 }), fc.string({ unit: 'binary' }))
  .filter((text) => !text.startsWith('\ufeff'))

/** Whatever can be written. */
const { value: ANY_VALUE } = fc.letrec<{ value: unknown }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 7, depthSize: 'small' },
    fc.constantFrom(null, true, false),
    fc.nat(70_000),
    NUMBERS,
    TEXTS,
    fc.uint8Array({ maxLength: 300 }),
    fc.array(tie('value'), { maxLength: 30 }),
    fc.dictionary(
      fc.oneof(
        fc.string({ unit: 'grapheme-ascii', maxLength: 30 }),
        fc.constantFrom('toString', '__proto__', '7'),
      ),
      fc.option(tie('value'), { nil: undefined, freq: 10 }),
      { maxKeys: 30 },
    ),
  ),
}))

/** `value` with nothing in it that writing would leave out. */
function withoutUndefined(value: unknown): unknown {
  return oracle.decode(oracle.encode(value, { ignoreUndefinedProperties: true }))
}

describe('CBOR', () => {
  for (const [value, text] of BOTH_WAYS) {
    it(`writes and reads ${text} as RFC 8949 says`, () => {
      assert.equal(hex(encodeCbor(value)), text)
      assert.deepEqual(decodeCbor(fromHex(text)), value)
    })
  }

  for (const [value, text] of FLOATS) {
    it(`reads the float ${text} as RFC 8949 says`, () =>
      assert.ok(Object.is(decodeCbor(fromHex(text)), value)))
  }

  it('writes what cborg writes and reads it back, whatever the value', () => {
    const property = fc.property(ANY_VALUE, (value) => {
      const bytes = encodeCbor(value)
      assert.equal(hex(bytes), hex(oracle.encode(value, { ignoreUndefinedProperties: true })))
      assert.deepEqual(decodeCbor(bytes), withoutUndefined(value))
    })
    fc.assert(property, { seed: 8_949, numRuns: 2_000 })
  })
})
