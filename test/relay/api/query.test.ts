import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as v from 'valibot'
import { inputSchema } from '../../../relay/api/json-schema.ts'
import { parsePairs, parseQuery } from '../../../relay/api/query.ts'

const schema = inputSchema(
  v.strictObject({
    limit: v.optional(v.pipe(v.number(), v.integer())),
    isOpen: v.optional(v.boolean()),
    name: v.optional(v.string()),
    site: v.optional(v.array(v.string())),
    seq: v.optional(v.array(v.number())),
  }),
)

describe('a query', () => {
  it('gets its types from the schema', () => {
    assert.deepEqual(parseQuery('limit=10&isOpen=true&name=10&site=a&site=b&seq=1', schema), {
      limit: 10,
      isOpen: true,
      name: '10',
      site: ['a', 'b'],
      seq: [1],
    })
    assert.deepEqual(parseQuery('', schema), {})
    assert.deepEqual(parseQuery('name=a+b%26c%2Bd', schema), { name: 'a b&c+d' })
  })

  it('leaves to the schema what has no such type', () => {
    assert.deepEqual(parseQuery('limit=0x10&isOpen=1', schema), { limit: '0x10', isOpen: '1' })
    assert.deepEqual(parseQuery('limit=1e3', schema), { limit: '1e3' })
    assert.deepEqual(parseQuery('limit', schema), { limit: '' })
  })

  it('S21: says nothing twice, has no broken escapes, and reaches no prototype', () => {
    assert.throws(() => parseQuery('name=a&name=b', schema), {
      code: 'INPUT',
      field: 'name',
      rule: 'unique_name',
    })
    assert.throws(() => parsePairs('a=1&%61=2'), { code: 'INPUT', field: 'a' })
    for (const text of ['name=%', 'name=%ff', '%zz=1'])
      assert.throws(() => parseQuery(text, schema), { code: 'INPUT' }, text)
    const members = parseQuery('__proto__=x', schema)
    assert.deepEqual(Object.keys(members), ['__proto__'])
    assert.equal(Object.getPrototypeOf(members), Object.prototype)
  })

  it('has at most a hundred members', () => {
    assert.throws(() => parsePairs(Array.from({ length: 101 }, (_, at) => `m${at}=`).join('&')), {
      code: 'INPUT',
      rule: 'members <=100',
    })
  })
})
