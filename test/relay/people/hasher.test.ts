import assert from 'node:assert/strict'
import { test } from 'node:test'
import { HASH_COST, PasswordHasher } from '../../../relay/people/hasher.ts'
import { realEffects } from '../../../shared/effects.ts'
import { Secret } from '../../../shared/secret.ts'

const CHEAP = { memory: 64, passes: 1, parallelism: 1 }

const secret = (text: string) => new Secret(text)

test('a hash holds its parameters and salt, and knows its password from every other', async () => {
  const hasher = new PasswordHasher({ effects: realEffects, cost: CHEAP })
  const kept = await hasher.hash(secret('a good password'))
  assert.match(kept, /^\$argon2id\$v=19\$m=64,t=1,p=1\$[\w+/]{22}\$[\w+/]{43}$/)
  assert.notEqual(await hasher.hash(secret('a good password')), kept)
  assert.deepEqual(await hasher.verify(secret('a good password'), kept), { isRight: true, isOld: false })
  assert.deepEqual(await hasher.verify(secret('a good passwore'), kept), { isRight: false, isOld: false })
  // The same letters from another keyboard: U+212B and U+00C5.
  const angstrom = await hasher.hash(secret('\u212bngstr\u00f6m everywhere'))
  assert.equal((await hasher.verify(secret('\u00c5ngstro\u0308m everywhere'), angstrom)).isRight, true)
})

test('nobody has no right password, and what is kept with less is to be hashed anew', async () => {
  const hasher = new PasswordHasher({ effects: realEffects, cost: CHEAP })
  assert.equal((await hasher.verify(secret(''), undefined)).isRight, false)
  const more = new PasswordHasher({ effects: realEffects, cost: { ...CHEAP, passes: 2 } })
  const kept = await hasher.hash(secret('a good password'))
  assert.deepEqual(await more.verify(secret('a good password'), kept), { isRight: true, isOld: true })
  await assert.rejects(hasher.verify(secret('x'), '$2b$12$abcdefgh'), { code: 'STORE' })
})

test('the cost in use is what OWASP asks for at least', () => {
  assert.deepEqual(HASH_COST, { memory: 19_456, passes: 2, parallelism: 1 })
})

test('two are hashed at a time, 64 wait, and what is beyond is refused at once', async () => {
  const hasher = new PasswordHasher({ effects: realEffects, cost: CHEAP })
  const all = await Promise.allSettled(
    Array.from({ length: 70 }, () => hasher.hash(secret('a good password'))),
  )
  const refused = all.filter((one) => one.status === 'rejected')
  assert.equal(refused.length, 4)
  for (const { reason } of refused) assert.equal((reason as { code: string }).code, 'OVERLOADED')
  // All places are free again.
  assert.equal((await hasher.hash(secret('a good password'))).length > 0, true)
})
