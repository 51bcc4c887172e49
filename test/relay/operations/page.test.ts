import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inputSchema, outputSchema } from '../../../relay/api/json-schema.ts'
import { OPERATIONS } from '../../../relay/operations/list.ts'
import { pageOf } from '../../../relay/operations/page.ts'

const key = (text: string) => text

test('the pages of a list hold everything once, in order', () => {
  const all = ['c', 'a', 'e', 'b', 'd']
  const first = pageOf(all, key, { limit: 2 })
  assert.deepEqual(first.items, ['a', 'b'])
  const second = pageOf(all, key, { limit: 2, cursor: first.next })
  assert.deepEqual(second.items, ['c', 'd'])
  assert.deepEqual(pageOf(all, key, { limit: 2, cursor: second.next }), { items: ['e'] })
})

test('what went between two pages leaves no gap, and a cursor that is none of ours does no harm', () => {
  const { next } = pageOf(['a', 'b', 'c'], key, { limit: 2 })
  assert.deepEqual(pageOf(['a', 'c'], key, { limit: 2, cursor: next }), { items: ['c'] })
  assert.deepEqual(pageOf(['a', 'c'], key, { limit: 5, cursor: '!!!' }), { items: ['a', 'c'] })
})

test('every list is given in pages', () => {
  const lists = OPERATIONS.filter(({ name }) => /\.(list|requests)$/.test(name))
  assert.ok(lists.length >= 20)
  for (const { name, input, output } of lists) {
    const { properties: takes = {} } = inputSchema(input)
    assert.ok('limit' in takes && 'cursor' in takes, `${name} takes no page`)
    const { properties: gives = {} } = outputSchema(output)
    assert.ok('items' in gives && 'next' in gives, `${name} gives no page`)
  }
})
