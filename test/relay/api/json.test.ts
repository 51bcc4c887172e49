import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { JSON_LIMITS, parseStrictJson } from '../../../relay/api/json.ts'

function refuses(text: string, rule: string, field = ''): void {
  assert.throws(() => parseStrictJson(text), { code: 'INPUT', rule, field }, text.slice(0, 80))
}

describe('the JSON of a body', () => {
  it('is read as JSON.parse reads it', () => {
    const safe = fc
      .jsonValue({ maxDepth: 3 })
      .filter((value) => !/__proto__|constructor|prototype/.test(JSON.stringify(value)))
    fc.assert(
      fc.property(safe, fc.integer({ min: 0, max: 3 }), (value, indent) => {
        const text = JSON.stringify(value, null, indent)
        assert.deepEqual(parseStrictJson(text), JSON.parse(text))
      }),
      { numRuns: 100 },
    )
  })

  it('S21: holds no name twice, however it is escaped and at whatever depth', () => {
    refuses('{"a":1,"a":2}', 'unique_name', 'a')
    refuses('{"a":1,"\\u0061":2}', 'unique_name', 'a')
    refuses('{"x":[{"y":{"b":1,"c":{},"b":2}}]}', 'unique_name', 'b')
    assert.deepEqual(parseStrictJson('[{"a":"a"},{"a":{"a":"{\\"a\\":1,"}}]'), [
      { a: 'a' },
      { a: { a: '{"a":1,' } },
    ])
  })

  it('S21: holds no name that reaches into how objects work', () => {
    refuses('{"__proto__":{"admin":true}}', 'forbidden_name', '__proto__')
    refuses('{"a":{"constructor":{"prototype":{}}}}', 'forbidden_name', 'constructor')
    refuses('{"\\u005f_proto__":1}', 'forbidden_name', '__proto__')
    assert.deepEqual(parseStrictJson('["__proto__"]'), ['__proto__'])
  })

  it('S21: holds no number beyond a double', () => {
    refuses('{"ttlMs":1e999}', 'finite_number')
    refuses('[-1e999]', 'finite_number')
    assert.deepEqual(parseStrictJson('[1e308,-0.5,12]'), [1e308, -0.5, 12])
  })

  it('S21: is neither deep nor long without end, and says so at once', () => {
    const { depth, members } = JSON_LIMITS
    refuses('['.repeat(500_000), `depth <=${depth}`)
    refuses(`[${'0,'.repeat(members)}0]`, `members <=${members}`)
    assert.equal(JSON.stringify(parseStrictJson('['.repeat(depth) + ']'.repeat(depth))).length, 2 * depth)
  })

  it('that is none is said to be none', () => {
    for (const text of [
      '',
      '{',
      '{"a"}',
      '{a:1}',
      "{'a':1}",
      '[1,]',
      '{"a":1}x',
      '\ufeff{}',
      '"\\x"',
      '{"\\x":1}',
      'NaN',
      '-',
      '"',
      '{"a":1',
      '01',
    ]) {
      assert.throws(() => parseStrictJson(text), { code: 'HTTP_BAD_REQUEST' }, JSON.stringify(text))
    }
  })

  it('S21: gets an answer of these two kinds whatever comes', () => {
    const pieces = fc.array(
      fc.constantFrom(
        '{',
        '}',
        '[',
        ']',
        ',',
        ':',
        '"',
        '\\',
        'a',
        '1',
        '-',
        'e9',
        ' ',
        '"__proto__"',
        '\u0000',
      ),
      { maxLength: 40 },
    )
    fc.assert(
      fc.property(pieces, (parts) => {
        try {
          parseStrictJson(parts.join(''))
        } catch (error) {
          assert.ok(['INPUT', 'HTTP_BAD_REQUEST'].includes((error as { code: string }).code))
        }
      }),
      { numRuns: 2_000 },
    )
  })
})
