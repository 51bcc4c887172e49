import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatHostPort, parseHostPort, parsePort } from '../../../shared/wire/host-port.ts'

test('what is formatted is read back', () => {
  const host = fc.constantFrom('db.corp', '10.0.0.1', 'fd00::5', '::1')
  fc.assert(
    fc.property(host, fc.integer({ min: 1, max: 65_535 }), (name, port) => {
      const target = parseHostPort(formatHostPort(name, port))
      assert.ok(target.ok)
      assert.deepEqual([target.value.host.text, target.value.port], [name, port])
    }),
  )
})

test('a refusal says what is wrong and repeats nothing of the input', () => {
  const secret = 'user:hunter2@db:5432'
  const target = parseHostPort(secret)
  assert.ok(!target.ok)
  assert.doesNotMatch(target.reason, /hunter2/)
})

test('ports are plain decimals in range', () => {
  assert.equal(parsePort('65535'), 65_535)
  for (const text of ['', '0', '65536', '080', '8e1', '-1', '99999'])
    assert.equal(parsePort(text), undefined, text)
})
