import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isWrapperRange } from '../../../shared/policy/address.ts'
import { explainDenial, stillAllows } from '../../../shared/policy/decide.ts'
import { isName } from '../../../shared/policy/name.ts'
import { cidr } from '../../support/cidr.ts'
import { rule } from './rule-kit.ts'

const NOWHERE = { own: new Set<string>(), relay: new Set<string>() }
const LIVE = {
  resource: 'db',
  protocol: 'tcp',
  host: 'db.corp.example',
  port: 5432,
  address: '10.0.0.5',
} as const

const rules = (...list: ReturnType<typeof rule>[]) => new Map(list.map((entry) => [entry.resource, entry]))

test('a running stream stays while its rule only changes in what it does not use', () => {
  assert.ok(stillAllows(rules(rule({ maxStreams: 3, detail: true, cidrs: ['10.0.0.0/8'] })), LIVE, NOWHERE))
})

test('a running stream ends when its rule is gone, moved or narrowed past it', () => {
  const narrowed = [
    rules(),
    rules(rule({ port: 5433 })),
    rules(rule({ host: { kind: 'name', text: 'other' } })),
    rules(rule({ protocol: 'http' })),
    rules(rule({ cidrs: ['10.1.0.0/16'] })),
    rules(rule({ expect: 'public' })),
  ]
  for (const now of narrowed) assert.ok(!stillAllows(now, LIVE, NOWHERE))
})

test('a running request ends when its path or method is no longer allowed', () => {
  const live = { ...LIVE, protocol: 'http', request: { method: 'GET', target: '/api/x' } } as const
  const http = (methods: string[], pathPrefixes: string[]) =>
    rules(rule({ protocol: 'http', http: { methods, pathPrefixes } }))
  assert.ok(stillAllows(http(['GET'], ['/api/']), live, NOWHERE))
  assert.ok(!stillAllows(http(['POST'], []), live, NOWHERE))
  assert.ok(!stillAllows(http([], ['/web/']), live, NOWHERE))
})

test('a stream whose target became an address of this host ends', () => {
  assert.ok(!stillAllows(rules(rule()), LIVE, { own: new Set(['10.0.0.5']), relay: new Set() }))
})

test('a denial that a word would lift names the word', () => {
  assert.match(explainDenial('loopback'), /allow_loopback = true/)
  assert.match(explainDenial('own-address'), /allow_loopback = true/)
  assert.match(explainDenial('metadata'), /allow_metadata = true/)
  assert.match(explainDenial('path'), /path_prefixes/)
})

test('ranges that only wrap IPv4 are recognised', () => {
  assert.ok(isWrapperRange(cidr('::ffff:10.0.0.0/104')))
  assert.ok(!isWrapperRange(cidr('fd00::/8')))
})

test('names are short, lower case and begin with a letter or digit', () => {
  for (const name of ['a', '0', 'orders-db', 'a'.repeat(63), 'constructor', 'a--'])
    assert.ok(isName(name), name)
  for (const name of ['', '-a', 'A', 'a_b', 'a.b', 'a\n', 'ä', 'a'.repeat(64), '__proto__', 'a b']) {
    assert.ok(!isName(name), JSON.stringify(name))
  }
})
