import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addTotp } from './factor-kit.ts'
import {
  cookieOf,
  logIn,
  PASSWORD,
  type PeopleKit,
  setUpOwner,
  shiftedEffects,
  startPeopleKit,
} from './people-kit.ts'

const ME = '/tenants/default/me'
const STEP_MS = 30_000

async function begin(kit: PeopleKit) {
  const answer = await kit.ask('POST', '/session', { login: 'olga', password: PASSWORD })
  assert.equal(answer.status, 200, answer.text)
  assert.equal(answer.body.state, 'second-factor')
  assert.deepEqual(answer.cookies, [], 'half a login gives no session')
  return answer.body as { pending: string; methods: string[] }
}

function answer(kit: PeopleKit, pending: string, kind: 'totp' | 'recovery', code: string) {
  return kit.ask('POST', '/session/second-factor', { pending, answer: { kind, code } })
}

test('S10: a code works once, and only in its step and the two beside it', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const code = await addTotp(kit, await setUpOwner(kit))
  const { pending, methods } = await begin(kit)
  assert.deepEqual(methods, ['totp'])
  assert.equal(
    (await answer(kit, pending, 'totp', code())).status,
    401,
    'it was shown when the factor was added',
  )
  effects.shift(4 * STEP_MS)
  for (const steps of [-2, 2]) {
    assert.equal((await answer(kit, pending, 'totp', code(steps))).status, 401, `${steps} steps`)
  }
  const now = code()
  const right = await answer(kit, pending, 'totp', now)
  assert.equal(right.status, 200, right.text)
  cookieOf(right)
  const again = await begin(kit)
  assert.equal((await answer(kit, again.pending, 'totp', now)).status, 401, 'the same code twice')
  assert.equal((await answer(kit, again.pending, 'totp', code(-1))).status, 401, 'one before the last')
  assert.equal((await answer(kit, again.pending, 'totp', code(1))).status, 200, 'one ahead')
})

test('S10: of two logins with one code at the same time one gets in', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const code = await addTotp(kit, await setUpOwner(kit))
  effects.shift(2 * STEP_MS)
  const halves = await Promise.all([begin(kit), begin(kit)])
  const now = code()
  const ends = await Promise.all(halves.map(({ pending }) => answer(kit, pending, 'totp', now)))
  assert.deepEqual(ends.map(({ status }) => status).sort(), [200, 401])
})

test('S10: half a login opens nothing of the API', async (t) => {
  const kit = await startPeopleKit(t)
  await addTotp(kit, await setUpOwner(kit))
  const { pending } = await begin(kit)
  const list = '/tenants/default/people'
  assert.equal((await kit.ask('GET', list, undefined, { cookie: pending })).status, 401)
  assert.equal((await kit.ask('GET', list, undefined, { bearer: pending })).status, 401)
  assert.equal(
    (await kit.ask('POST', '/session/confirm', { password: PASSWORD }, { cookie: pending })).status,
    401,
  )
})

test('S10: a recovery code works once; wrong answers are few and lock the account like wrong passwords', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const cookie = await setUpOwner(kit)
  const code = await addTotp(kit, cookie)
  const made = await kit.ask('POST', `${ME}/recovery-codes`, {}, { cookie })
  const [first = '', second = ''] = made.body.codes as string[]
  assert.match(first, /^[a-z2-7]{4}(-[a-z2-7]{4}){5}$/)
  const one = await begin(kit)
  assert.deepEqual(one.methods, ['totp', 'recovery'])
  assert.equal((await answer(kit, one.pending, 'recovery', first.toUpperCase())).status, 200)
  const two = await begin(kit)
  assert.equal((await answer(kit, two.pending, 'recovery', first)).status, 401)
  for (let i = 0; i < 4; i++) await answer(kit, two.pending, 'totp', 'abcdef')
  effects.shift(2 * STEP_MS)
  assert.equal((await answer(kit, two.pending, 'totp', code())).status, 401, 'five wrong answers were enough')
  const { person } = await kit.relay.people.store.viewLogin('default', 'olga', '')
  assert.equal(person?.failures, 5)
  const three = await begin(kit)
  for (let i = 0; i < 4; i++) await answer(kit, three.pending, 'totp', 'abcdef')
  const four = await begin(kit)
  await answer(kit, four.pending, 'totp', 'abcdef')
  const locked = await kit.relay.people.store.viewLogin('default', 'olga', '')
  assert.notEqual(locked.person?.lockedAt, undefined)
  await kit.command('person.unlock', { person: 'olga' })
  assert.equal((await answer(kit, (await begin(kit)).pending, 'recovery', second)).status, 200)
})

test('the secret of a factor stands sealed in the store, and an administrator takes lost factors away', async (t) => {
  const kit = await startPeopleKit(t)
  await addTotp(kit, await setUpOwner(kit))
  const { store } = kit.relay.people
  const names = await store.listSecrets('default')
  assert.equal(names.length, 1)
  assert.match(names[0] ?? '', /^factor\/[0-9a-f]{32}$/)
  await kit.command('person.reset', { person: 'olga', clearFactors: true })
  assert.deepEqual(await store.listSecrets('default'), [])
  await logIn(kit, 'olga')
})
