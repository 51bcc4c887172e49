import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { type AddressInfo, createServer, connect as dial, type Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { type AuditSource, openSource } from '../../../relay/audit/source.ts'
import { actAt } from '../../support/acts.ts'
import { type ApiKit, startApiKit } from '../../support/api-kit.ts'
import { within } from '../../support/deadline.ts'
import { storeLogin } from '../../support/stored-login.ts'

let api: ApiKit
let base: string
const signal = AbortSignal.timeout(60_000)

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'sallyport-source-'))
  process.env.XDG_CONFIG_HOME = base
  api = await startApiKit()
})

after(async () => {
  await api[Symbol.asyncDispose]()
  await rm(base, { recursive: true, force: true })
})

const add = (name: string) => api.kit.relay.authority.store.addEnvironment('default', name, false, actAt())

async function allOf(source: AuditSource, order: 'oldest' | 'newest'): Promise<object[]> {
  const all: object[] = []
  let behind: number | undefined
  do {
    const page = await source.page('default', { filter: {}, order, limit: 2, behind })
    all.push(...page.items)
    behind = page.next
  } while (behind !== undefined)
  return all
}

test('a chain reads the same in the data directory and over the API, for who may', async () => {
  for (const name of ['one', 'two', 'three']) await add(name)
  await api.kit.relay.trail.flush()
  const relay = await storeLogin(api, api.callers.withRole('auditor'))
  await using here = await openSource({ data: api.kit.directory, signal })
  await using there = await openSource({ data: '', relay, signal })
  for (const order of ['oldest', 'newest'] as const) {
    const records = await allOf(here, order)
    assert.ok(records.length >= 4)
    assert.deepEqual(await allOf(there, order), records)
  }
  assert.deepEqual(await there.verify('default', undefined), await here.verify('default', undefined))
  for (const chain of ['@relay', 'nobody']) {
    await assert.rejects(there.page(chain, { filter: {}, order: 'oldest', limit: 1 }), { code: 'NOT_FOUND' })
  }
  await storeLogin(api, api.callers.withRole('developer'))
  await assert.rejects(there.verify('default', undefined), { code: 'FORBIDDEN' })
})

test('who follows a chain misses nothing and reads nothing twice, through a connection that breaks', async () => {
  const sockets = new Set<Socket>()
  const middle = createServer((near) => {
    const far = dial(api.kit.port, '127.0.0.1')
    for (const [one, other] of [[near, far] as const, [far, near] as const]) {
      sockets.add(one)
      one.on('error', () => other.destroy())
      one.pipe(other)
    }
  })
  middle.listen(0, '127.0.0.1')
  await once(middle, 'listening')
  const relay = await storeLogin(api, api.callers.withRole('auditor'), (middle.address() as AddressInfo).port)
  const pauses: number[] = []
  const effects = { sleep: async (ms: number) => void pauses.push(ms) }
  const stop = new AbortController()
  await using there = await openSource({ data: '', relay, signal: stop.signal, effects })
  const { seq } = await api.kit.relay.authority.store.auditHead('default')
  const records = there.follow('default', { action: 'environment.add' }, seq)[Symbol.asyncIterator]()
  const next = async () => (await within(records.next(), 'a record')).value?.object
  await add('four')
  assert.equal(await next(), 'four')
  for (const socket of sockets) socket.destroy()
  await add('five')
  await add('six')
  assert.deepEqual([await next(), await next()], ['five', 'six'])
  assert.deepEqual(pauses, [2_000])
  stop.abort()
  await assert.rejects(records.next())
  middle.close()
})

test('who follows a chain at a relay that is not there, or may not, hears so', async () => {
  const nowhere = await storeLogin(api, 'token', 1)
  await using away = await openSource({ data: '', relay: nowhere, signal })
  const follow = (source: AuditSource) =>
    source.follow('default', {}, undefined)[Symbol.asyncIterator]().next()
  await assert.rejects(follow(away), { code: 'RELAY_UNREACHABLE' })
  const relay = await storeLogin(api, api.callers.withRole('developer'))
  await using there = await openSource({ data: '', relay, signal })
  await assert.rejects(follow(there), { code: 'FORBIDDEN' })
})
