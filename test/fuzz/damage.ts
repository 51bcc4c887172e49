import fc from 'fast-check'

/** Damage of the kinds that find faults: a byte changed, a stretch cut out, repeated or put in. */
export interface Damage {
  readonly kind: 'set' | 'cut' | 'repeat' | 'insert'
  readonly at: number
  readonly length: number
  readonly value: number
}

export const damage: fc.Arbitrary<Damage> = fc.record({
  kind: fc.constantFrom('set' as const, 'cut' as const, 'repeat' as const, 'insert' as const),
  at: fc.nat(2_000),
  length: fc.integer({ min: 1, max: 40 }),
  value: fc.nat(255),
})

function damaged(bytes: Uint8Array, damages: readonly Damage[]): Uint8Array {
  let all = [...bytes]
  for (const { kind, at, length, value } of damages) {
    const from = at % Math.max(1, all.length)
    if (kind === 'set') all[from] = value
    else if (kind === 'cut') all.splice(from, length)
    else if (kind === 'insert') all.splice(from, 0, ...Array<number>(length).fill(value))
    else all = [...all.slice(0, from + length), ...all.slice(from)]
  }
  return Uint8Array.from(all)
}

/** `right` as it is, `right` with damage, and noise. */
export function withDamage(right: fc.Arbitrary<Uint8Array>, maxNoise = 2_000): fc.Arbitrary<Uint8Array> {
  const damages = fc.array(damage, { minLength: 1, maxLength: 8 })
  return fc.oneof(
    { weight: 4, arbitrary: right },
    { weight: 5, arbitrary: fc.tuple(right, damages).map(([bytes, some]) => damaged(bytes, some)) },
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: maxNoise, size: 'max' }) },
  )
}

/** Text as bytes: `right` as it is, with damage, and any text at all. */
export function textWithDamage(right: fc.Arbitrary<string>, maxNoise = 300): fc.Arbitrary<Uint8Array> {
  const noise = fc.oneof(
    fc.string({ maxLength: maxNoise }),
    fc.string({ unit: 'binary', maxLength: maxNoise }),
  )
  return withDamage(
    fc
      .oneof({ weight: 9, arbitrary: right }, { weight: 1, arbitrary: noise })
      .map((text) => Uint8Array.from(Buffer.from(text))),
    maxNoise,
  )
}

/** Values that JSON, CBOR or a record by a name may be led astray by. */
export const trickyValue: fc.Arbitrary<unknown> = fc.oneof(
  fc.constantFrom<unknown>(null, true, '', '__proto__', 'constructor', 1e308, -0, 2 ** 53, -1, 0.5, [], {}),
  fc.string({ maxLength: 20 }),
  fc.integer(),
  fc.double({ noNaN: true, noDefaultInfinity: true }),
  fc.uint8Array({ maxLength: 40 }),
  fc.array(fc.oneof(fc.string({ maxLength: 5 }), fc.nat()), { maxLength: 40 }),
)

/** `map` with some of its values exchanged for tricky ones, some taken away, and some keys too many. */
export function withTrickyFields(map: Readonly<Record<string, unknown>>): fc.Arbitrary<[string, unknown][]> {
  const keys = Object.keys(map)
  const change = fc.record({
    key: fc.constantFrom(...keys, '__proto__', 'constructor', 'toString', 'x'),
    value: fc.option(trickyValue, { nil: undefined }),
  })
  return fc.array(change, { maxLength: 3 }).map((changes) => {
    const entries = new Map(Object.entries(map))
    for (const { key, value } of changes) {
      if (value === undefined) entries.delete(key)
      else entries.set(key, value)
    }
    return [...entries]
  })
}
