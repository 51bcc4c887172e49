import assert from 'node:assert/strict'
import { test } from 'node:test'
import { openSqliteStore } from '../../../relay/store/sqlite-store.ts'
import type { Store } from '../../../relay/store/store.ts'
import { actAt } from '../../support/acts.ts'
import { hashOf, newAgent, newConnector, openTestStore, storeOptions } from './store-fixture.ts'

const T = 'default'

async function enrolled(store: Store, id = 'a', site = 'berlin'): Promise<void> {
  await store.createJoinToken(
    T,
    { tokenHash: hashOf(id), site, environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  await store.enrollAgent(T, hashOf(id), newAgent(id), actAt())
}

test('a token is spent once, and gives the agent its site', async (t) => {
  const { store } = await openTestStore(t)
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'berlin', environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  assert.equal(await store.isJoinTokenOpen(T, hashOf('x'), 1_999), true)
  assert.equal(await store.enrollAgent(T, hashOf('x'), newAgent('a'), actAt()), 'berlin')
  assert.equal(await store.isJoinTokenOpen(T, hashOf('x'), 1_999), false)
  await assert.rejects(store.enrollAgent(T, hashOf('x'), newAgent('b'), actAt()), { code: 'JOIN_TOKEN' })
  assert.equal(await store.findAgent(T, 'b'), undefined)
})

test('of many uses of one token at the same time exactly one wins', async (t) => {
  const { store } = await openTestStore(t)
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'berlin', environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  const results = await Promise.allSettled(
    Array.from({ length: 10 }, (_, i) => store.enrollAgent(T, hashOf('x'), newAgent(`a${i}`), actAt())),
  )
  assert.equal(results.filter((result) => result.status === 'fulfilled').length, 1)
  assert.equal((await store.listAgents(T)).length, 1)
})

test('a token that was spent through one opening of the file is spent for every other', async (t) => {
  const { store, path } = await openTestStore(t)
  await using other = await openSqliteStore(path, storeOptions())
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'berlin', environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  await other.enrollAgent(T, hashOf('x'), newAgent('b'), actAt())
  await assert.rejects(store.enrollAgent(T, hashOf('x'), newAgent('a'), actAt()), { code: 'JOIN_TOKEN' })
})

test('a token that expires now or before cannot be spent', async (t) => {
  const { store } = await openTestStore(t)
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'berlin', environment: 'production', expiresAt: 1_000 },
    actAt(500),
  )
  assert.equal(await store.isJoinTokenOpen(T, hashOf('x'), 1_000), false)
  await assert.rejects(store.enrollAgent(T, hashOf('x'), newAgent('a'), actAt()), { code: 'JOIN_TOKEN' })
})

test('an agent that cannot be inserted leaves its token unspent', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store)
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'berlin', environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  await assert.rejects(store.enrollAgent(T, hashOf('x'), newAgent('a'), actAt()), { code: 'CONFLICT' })
  assert.equal(await store.isJoinTokenOpen(T, hashOf('x'), 1_000), true)
})

test('what was committed is there after the store was opened anew', async (t) => {
  const { store, path } = await openTestStore(t)
  await enrolled(store)
  await using again = await openSqliteStore(path, storeOptions())
  assert.deepEqual(await again.findAgent(T, 'a'), {
    ...newAgent('a'),
    environment: 'production',
    site: 'berlin',
    previousSerial: undefined,
    generation: 1,
    renewedAt: 1_000,
    revokedAt: undefined,
  })
})

test('another tenant sees neither agents nor connectors nor tokens', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store)
  await store.addConnector(T, newConnector('c', 'app'), [{ site: 'berlin', resource: 'db' }], actAt())
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'berlin', environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  assert.equal(await store.findAgent('other', 'a'), undefined)
  assert.equal(await store.revokeAgent('other', 'a', actAt(1)), false)
  assert.equal((await store.grantTerms('other', 'c', 'berlin', 'db')).length, 0)
  await assert.rejects(store.enrollAgent('other', hashOf('x'), newAgent('b'), actAt()), {
    code: 'JOIN_TOKEN',
  })
})

test('a renewal raises the generation and keeps the previous certificate until the new one is used', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store)
  const next = { serial: 's2', fingerprint: 'f2', notAfter: 20_000 }
  assert.equal(await store.renewAgent(T, 'a', 'serial-1-a', next, actAt(5_000)), 2)
  const agent = await store.findAgent(T, 'a')
  assert.equal(agent?.serial, 's2')
  assert.equal(agent?.previousSerial, 'serial-1-a')
  assert.equal(await store.confirmAgentCertificate(T, 'a', 'serial-1-a'), false)
  assert.equal(await store.confirmAgentCertificate(T, 'a', 's2'), true)
  assert.equal((await store.findAgent(T, 'a'))?.previousSerial, undefined)
  assert.equal(
    await store.renewAgent(T, 'a', 'serial-1-a', { ...next, serial: 's3' }, actAt(5_000)),
    undefined,
  )
})

test('an answer that was lost is asked for again with the previous certificate', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store)
  const next = { serial: 's2', fingerprint: 'f2', notAfter: 20_000 }
  await store.renewAgent(T, 'a', 'serial-1-a', next, actAt(5_000))
  assert.equal(await store.renewAgent(T, 'a', 'serial-1-a', { ...next, serial: 's3' }, actAt(5_000)), 3)
  assert.equal(await store.renewAgent(T, 'a', 's2', { ...next, serial: 's4' }, actAt(5_000)), undefined)
})

test('a revoked agent is neither renewed nor revoked twice', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store)
  assert.equal(await store.revokeAgent(T, 'a', actAt(7_000)), true)
  assert.equal(await store.revokeAgent(T, 'a', actAt(8_000)), false)
  assert.equal((await store.findAgent(T, 'a'))?.revokedAt, 7_000)
  const next = { serial: 's2', fingerprint: 'f2', notAfter: 20_000 }
  assert.equal(await store.renewAgent(T, 'a', 'serial-1-a', next, actAt(5_000)), undefined)
})

test('agents are listed by site', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store, 'a', 'munich')
  await enrolled(store, 'b', 'berlin')
  assert.deepEqual(
    (await store.listAgents(T)).map((agent) => agent.site),
    ['berlin', 'munich'],
  )
  assert.deepEqual(
    (await store.listAgents(T, { site: 'munich' })).map((agent) => agent.id),
    ['a'],
  )
  assert.deepEqual(await store.listSites(T), [
    { environment: 'production', name: 'berlin' },
    { environment: 'production', name: 'munich' },
  ])
})

test('a connector has the grants it was given, until it is revoked', async (t) => {
  const { store } = await openTestStore(t)
  await store.addConnector(T, newConnector('c', 'app'), [{ site: 'berlin', resource: 'db' }], actAt())
  assert.equal((await store.grantTerms(T, 'c', 'berlin', 'db')).length, 1)
  assert.equal((await store.grantTerms(T, 'c', 'berlin', 'files')).length, 0)
  assert.equal((await store.grantTerms(T, 'c', 'munich', 'db')).length, 0)
  assert.equal((await store.grantTerms(T, 'd', 'berlin', 'db')).length, 0)
  await store.setGrants(T, 'c', [{ site: 'berlin', resource: 'files' }], actAt())
  assert.equal((await store.grantTerms(T, 'c', 'berlin', 'db')).length, 0)
  assert.deepEqual(await store.listGrants(T, 'c'), [{ connectorId: 'c', site: 'berlin', resource: 'files' }])
  assert.equal(await store.revokeConnector(T, 'c', actAt(5)), true)
  assert.equal((await store.grantTerms(T, 'c', 'berlin', 'files')).length, 0)
  await assert.rejects(store.setGrants(T, 'c', [], actAt()), { code: 'NOT_FOUND' })
})

test('the name of a connector is taken until the connector is revoked', async (t) => {
  const { store } = await openTestStore(t)
  await store.addConnector(T, newConnector('c1', 'app'), [], actAt())
  await assert.rejects(
    store.addConnector(T, newConnector('c2', 'app'), [{ site: 's', resource: 'r' }], actAt()),
    {
      code: 'CONFLICT',
    },
  )
  assert.deepEqual(await store.listGrants(T, 'c2'), [])
  await store.revokeConnector(T, 'c1', actAt(5))
  await store.addConnector(T, newConnector('c2', 'app'), [], actAt())
  assert.equal((await store.findConnectorByName(T, 'production', 'app'))?.id, 'c2')
  assert.equal((await store.listConnectors(T)).length, 2)
})

test('an address is published once', async (t) => {
  const { store } = await openTestStore(t)
  const publication = {
    kind: 'host',
    address: 'app.example.org',
    environment: 'production',
    site: 'berlin',
    resource: 'web',
  } as const
  await store.publish(T, publication, actAt())
  await assert.rejects(store.publish(T, { ...publication, resource: 'other' }, actAt()), { code: 'CONFLICT' })
  assert.deepEqual(await store.listPublications(T), [publication])
  assert.equal(await store.unpublish(T, 'host', 'app.example.org', actAt()), true)
  assert.equal(await store.unpublish(T, 'host', 'app.example.org', actAt()), false)
})

test('the counts leave out what is revoked, spent or expired', async (t) => {
  const { store } = await openTestStore(t)
  await enrolled(store, 'a')
  await enrolled(store, 'b')
  await store.revokeAgent(T, 'b', actAt(5))
  await store.addConnector(T, newConnector('c', 'app'), [], actAt())
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('x'), site: 'bonn', environment: 'production', expiresAt: 2_000 },
    actAt(500),
  )
  await store.createJoinToken(
    T,
    { tokenHash: hashOf('y'), site: 'bonn', environment: 'production', expiresAt: 900 },
    actAt(500),
  )
  assert.deepEqual(await store.counts(T, 1_000), {
    sites: 2,
    agents: 1,
    connectors: 1,
    publications: 0,
    openJoinTokens: 1,
  })
})
