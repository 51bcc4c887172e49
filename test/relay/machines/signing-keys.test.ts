import assert from 'node:assert/strict'
import { test } from 'node:test'
import { REMEMBERED_MS, SIGNS_MS, SigningKeys } from '../../../relay/machines/signing-keys.ts'
import { actAt } from '../../support/acts.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { startKit } from '../../support/relay-kit.ts'
import { openTestStore } from '../store/store-fixture.ts'
import { memorySecrets } from './memory-secrets.ts'

const T = 'default'

test('a key signs for 30 days, and stays until its last token is over', async () => {
  const effects = new FakeEffects()
  const secrets = memorySecrets()
  const keys = new SigningKeys(secrets, effects)
  const first = await keys.current(T)
  effects.advance(SIGNS_MS - 1)
  assert.equal((await keys.current(T)).kid, first.kid)
  effects.advance(REMEMBERED_MS)
  const second = await keys.current(T)
  assert.notEqual(second.kid, first.kid)
  assert.equal((await keys.find(T, first.kid))?.kid, first.kid, 'its tokens hold')
  effects.advance(900_000)
  await keys.current(T)
  assert.ok(await keys.find(T, first.kid), 'another relay may have signed with it until a minute ago')
  effects.advance(3 * REMEMBERED_MS)
  assert.equal((await keys.current(T)).kid, second.kid)
  assert.equal(await keys.find(T, first.kid), undefined)
  assert.deepEqual(await secrets.listSecrets(T), [`machine-token/${second.kid}`])
})

test('relays of one store sign with the same key, and with the same new one a minute after another has made it', async () => {
  const effects = new FakeEffects()
  const secrets = memorySecrets()
  const [one, other] = [new SigningKeys(secrets, effects), new SigningKeys(secrets, effects)]
  const [made, found] = [await one.current(T), await other.current(T)]
  assert.equal(made.kid, found.kid)
  effects.advance(SIGNS_MS)
  const next = await one.current(T)
  assert.notEqual(next.kid, made.kid)
  effects.advance(REMEMBERED_MS)
  assert.equal((await other.current(T)).kid, next.kid)
})

test('many who ask at once are given one key', async () => {
  const keys = new SigningKeys(memorySecrets(), new FakeEffects())
  const all = await Promise.all(Array.from({ length: 20 }, () => keys.current(T)))
  assert.equal(new Set(all.map(({ kid }) => kid)).size, 1)
})

test('a key is sealed in the store, and opens after a rekey', async (t) => {
  const { store } = await openTestStore(t)
  const effects = new FakeEffects()
  const { kid, publicKey } = await new SigningKeys(store, effects).current(T)
  await store.rekey(T, actAt())
  const again = await new SigningKeys(store, effects).find(T, kid)
  assert.ok(again?.publicKey.equals(publicKey))
})

test('a token outlives the relay that gave it', async () => {
  await using kit = await startKit()
  const subject = { kind: 'machine', tenantId: T, id: 'm'.repeat(26) } as const
  const token = (await kit.relay.machineTokens.issue(subject, undefined)).reveal()
  await kit.stopRelay()
  await kit.startAgain()
  assert.equal((await kit.relay.machineTokens.verify('machine', token, undefined)).id, subject.id)
})
