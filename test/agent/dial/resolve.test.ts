import assert from 'node:assert/strict'
import { test } from 'node:test'
import { CACHE_MS, createResolver, PATIENCE_MS, RESOLVE_MS } from '../../../agent/dial/resolve.ts'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import { fakeClock } from './fake-clock.ts'

const NEVER = new AbortController().signal
const code = (expected: string) => (err: unknown) => isTunnelError(err) && err.code === expected
const errno = (text: string) => Object.assign(new Error(text), { code: text })

/** A resolver whose lookups and queries answer when the test says so. */
function bench() {
  const clock = fakeClock()
  const asked: string[] = []
  const open = new Map<string, PromiseWithResolvers<readonly string[]>>()
  const ask = (way: string) => (host: string) => {
    asked.push(`${way} ${host}`)
    const answer = Promise.withResolvers<readonly string[]>()
    open.set(`${way} ${host}`, answer)
    return answer.promise
  }
  const resolver = createResolver({ effects: clock, lookup: ask('lookup'), query: ask('query') })
  const of = (key: string) => open.get(key) ?? assert.fail(`${key} was not asked`)
  return {
    clock,
    asked,
    resolve: (host: string, signal = NEVER) => resolver.resolve(host, signal),
    forget: (host: string) => resolver.forget(host),
    answer: (key: string, ...addresses: string[]) => of(key).resolve(addresses),
    fail: (key: string, err: Error) => of(key).reject(err),
  }
}

test('streams that want one name at the same time ask once', async () => {
  const { resolve, answer, asked } = bench()
  const both = Promise.all([resolve('a'), resolve('a')])
  await Promise.resolve()
  answer('lookup a', '10.0.0.1')
  assert.deepEqual(await both, [['10.0.0.1'], ['10.0.0.1']])
  assert.deepEqual(asked, ['lookup a'])
})

test('an answer serves for a while, then is asked anew', async () => {
  const { clock, resolve, answer, asked } = bench()
  const first = resolve('a')
  await clock.advance(0)
  answer('lookup a', '10.0.0.1')
  await first
  await clock.advance(CACHE_MS - 1)
  assert.deepEqual(await resolve('a'), ['10.0.0.1'])
  await clock.advance(1)
  const second = resolve('a')
  await clock.advance(0)
  answer('lookup a', '10.0.0.2')
  assert.deepEqual(await second, ['10.0.0.2'])
  assert.equal(asked.length, 2)
})

test('a forgotten answer is asked anew', async () => {
  const { clock, resolve, answer, asked, forget } = bench()
  const first = resolve('a')
  await clock.advance(0)
  answer('lookup a', '10.0.0.1')
  await first
  forget('a')
  resolve('a').catch(() => {})
  await clock.advance(0)
  assert.equal(asked.length, 2)
})

test('a failure is DNS with its cause and is not kept', async () => {
  const { clock, resolve, fail, asked } = bench()
  for (let i = 1; i <= 2; i++) {
    const attempt = resolve('a')
    await clock.advance(0)
    fail('lookup a', errno('ENOTFOUND'))
    await assert.rejects(attempt, (err) => code('DNS')(err) && /a: ENOTFOUND/.test(String(err)))
    assert.equal(asked.length, i)
  }
})

test('no address at all is DNS', async () => {
  const { clock, resolve, answer } = bench()
  const attempt = resolve('a')
  await clock.advance(0)
  answer('lookup a')
  await assert.rejects(attempt, code('DNS'))
})

test('answers are without doubles and at most 16', async () => {
  const { clock, resolve, answer } = bench()
  const attempt = resolve('a')
  await clock.advance(0)
  answer('lookup a', '10.0.0.1', '10.0.0.1', ...Array.from({ length: 40 }, (_, i) => `10.0.1.${i}`))
  assert.equal((await attempt).length, 16)
})

test('a hung name costs its callers five seconds and delays no other name', async () => {
  const { clock, resolve, answer } = bench()
  const hung = assert.rejects(resolve('a'), code('DNS'))
  const other = resolve('b')
  await clock.advance(0)
  answer('lookup b', '10.0.0.2')
  assert.deepEqual(await other, ['10.0.0.2'])
  await clock.advance(RESOLVE_MS)
  await hung
  assert.equal(clock.pending(), 0)
})

test('with both threads hung a third name is asked by plain DNS after little patience', async () => {
  const { clock, resolve, answer, asked } = bench()
  for (const host of ['a', 'b']) resolve(host).catch(() => {})
  const third = resolve('c')
  await clock.advance(PATIENCE_MS)
  assert.deepEqual(asked, ['lookup a', 'lookup b', 'query c'])
  answer('query c', '10.0.0.3')
  assert.deepEqual(await third, ['10.0.0.3'])
})

test('a thread that becomes free serves who waits', async () => {
  const { clock, resolve, answer, asked } = bench()
  for (const host of ['a', 'b']) resolve(host).catch(() => {})
  const third = resolve('c')
  await clock.advance(PATIENCE_MS / 2)
  answer('lookup a', '10.0.0.1')
  await clock.advance(0)
  assert.deepEqual(asked, ['lookup a', 'lookup b', 'lookup c'])
  answer('lookup c', '10.0.0.3')
  assert.deepEqual(await third, ['10.0.0.3'])
})

test('a name that hangs for good is asked by plain DNS until its thread is back', async () => {
  const { clock, resolve, answer, asked } = bench()
  resolve('a').catch(() => {})
  await clock.advance(RESOLVE_MS)
  const again = resolve('a')
  await clock.advance(0)
  answer('query a', '10.0.0.1')
  assert.deepEqual(await again, ['10.0.0.1'])
  answer('lookup a', '10.0.0.9')
  await clock.advance(CACHE_MS)
  resolve('a').catch(() => {})
  await clock.advance(0)
  assert.deepEqual(asked, ['lookup a', 'query a', 'lookup a'])
})

test('one caller that gives up does not take the answer from another', async () => {
  const { clock, resolve, answer } = bench()
  const gone = new AbortController()
  const reason = new TunnelError('CANCELLED')
  const first = assert.rejects(resolve('a', gone.signal), (err) => err === reason)
  const second = resolve('a')
  await clock.advance(0)
  gone.abort(reason)
  await first
  answer('lookup a', '10.0.0.1')
  assert.deepEqual(await second, ['10.0.0.1'])
  await clock.advance(0)
  assert.equal(clock.pending(), 0)
})

test('too many names at once are OVERLOADED, not queued', async () => {
  const { clock, resolve } = bench()
  for (let i = 0; i < 256; i++) resolve(`h${i}`).catch(() => {})
  await assert.rejects(resolve('one-more'), code('OVERLOADED'))
  await clock.advance(RESOLVE_MS)
})

test('localhost is this host and nobody is asked', async () => {
  const { resolve, asked } = bench()
  assert.deepEqual(await resolve('localhost'), ['127.0.0.1', '::1'])
  assert.deepEqual(await resolve('db.localhost'), ['127.0.0.1', '::1'])
  assert.deepEqual(asked, [])
})
