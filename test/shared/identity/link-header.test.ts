import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { checkLinkHeader, formatLinkHeader } from '../../../shared/identity/link-header.ts'

const KEY = Buffer.alloc(32, 1)
const keyOf = (session: string) => (session === 'a1' ? KEY : undefined)

describe('the header of a further link', () => {
  test('names the session where the proof holds', () => {
    assert.equal(checkLinkHeader(formatLinkHeader('a1', KEY, randomBytes), keyOf), 'a1')
  })

  test('names none under another key, for another session, or with any character changed', () => {
    const right = formatLinkHeader('a1', KEY, randomBytes)
    assert.equal(checkLinkHeader(formatLinkHeader('a1', Buffer.alloc(32, 2), randomBytes), keyOf), undefined)
    assert.equal(checkLinkHeader(formatLinkHeader('b2', KEY, randomBytes), keyOf), undefined)
    for (let at = 0; at < right.length; at++) {
      const other = right[at] === '0' ? '1' : '0'
      assert.equal(checkLinkHeader(right.slice(0, at) + other + right.slice(at + 1), keyOf), undefined)
    }
  })

  test('may be any text: nothing but the right one is taken, and nothing throws', () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^a1 [0-9a-f]{30,34} [0-9a-f]{60,66}$/)),
        (text) => {
          assert.equal(checkLinkHeader(text, keyOf), undefined)
        },
      ),
    )
  })
})
