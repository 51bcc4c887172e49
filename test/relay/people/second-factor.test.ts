import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addTotp } from './factor-kit.ts'
import {
  addPerson,
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

async function start(t: Parameters<typeof startPeopleKit>[0]) {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  return { kit, effects, cookie: await setUpOwner(kit) }
}

/** What a session gets where a role is needed. */
async function reach(kit: PeopleKit, how: { cookie?: string; bearer?: string }): Promise<string> {
  const { status, body } = await kit.ask('GET', '/tenants/default/people', undefined, how)
  return status === 200 ? 'in' : String(body.code)
}

const demand = (kit: PeopleKit, isDemanded = true) => kit.command('second-factor.set', { isDemanded })

/** The two steps of a login. */
async function logInWith(kit: PeopleKit, code: string, body: object = {}) {
  const begun = await kit.ask('POST', '/session', { login: 'olga', password: PASSWORD, ...body })
  return kit.ask('POST', '/session/second-factor', {
    pending: begun.body.pending,
    answer: { kind: 'totp', code },
  })
}

test('a tenant that demands a second factor lets who has none reach the own account only, and enrol one there', async (t) => {
  const { kit, effects, cookie } = await start(t)
  assert.equal(await reach(kit, { cookie }), 'in')
  assert.deepEqual(await demand(kit), { isDemanded: true, isNew: true })
  assert.equal(await reach(kit, { cookie }), 'SECOND_FACTOR', 'also by a session that was there')
  const again = await logIn(kit, 'olga')
  assert.equal(await reach(kit, { cookie: again }), 'SECOND_FACTOR')
  assert.equal((await kit.ask('GET', `${ME}/factors`, undefined, { cookie: again })).status, 200)
  const code = await addTotp(kit, again)
  assert.equal(await reach(kit, { cookie: again }), 'SECOND_FACTOR', 'not before it was shown at a login')
  effects.shift(STEP_MS)
  assert.equal(await reach(kit, { cookie: cookieOf(await logInWith(kit, code())) }), 'in')
  assert.deepEqual(await demand(kit, false), { isDemanded: false, isNew: true })
  assert.equal(await reach(kit, { cookie: again }), 'in')
})

test('who has enrolled in a session makes it whole by a confirmation', async (t) => {
  const { kit, effects, cookie } = await start(t)
  await demand(kit)
  const code = await addTotp(kit, cookie)
  effects.shift(STEP_MS)
  const begun = await kit.ask('POST', '/session/confirm', { password: PASSWORD }, { cookie })
  const answer = { kind: 'totp', code: code() }
  const done = await kit.ask('POST', '/session/second-factor', { pending: begun.body.pending, answer })
  assert.equal(await reach(kit, { cookie: cookieOf(done) }), 'in')
})

test('a command line that is let in has what the session had that let it in', async (t) => {
  const { kit, effects, cookie } = await start(t)
  await demand(kit)
  const letIn = async (by: string) => {
    const { body } = await kit.ask('POST', '/devices', {})
    const path = `${ME}/devices/${String(body.userCode)}/approve`
    assert.equal((await kit.ask('POST', path, {}, { cookie: by })).status, 200)
    const polled = await kit.ask('POST', '/devices/token', { deviceCode: body.deviceCode })
    return String(polled.body.token)
  }
  assert.equal(await reach(kit, { bearer: await letIn(cookie) }), 'SECOND_FACTOR')
  const code = await addTotp(kit, cookie)
  effects.shift(STEP_MS)
  const whole = cookieOf(await logInWith(kit, code()))
  assert.equal(await reach(kit, { bearer: await letIn(whole) }), 'in')
})

test('a key from before the demand gives nothing, one from after it does', async (t) => {
  const { kit, effects } = await start(t)
  await kit.command('role.grant', { person: 'olga', role: 'owner', viaApi: true })
  const cookie = await logIn(kit, 'olga')
  const roles = [{ role: 'auditor', viaApi: true }]
  const key = async (by: string) => {
    const { body } = await kit.ask('POST', `${ME}/keys`, { name: 'ci', roles }, { cookie: by })
    return String(body.key)
  }
  const before = await key(cookie)
  assert.equal(await reach(kit, { bearer: before }), 'in')
  effects.shift(1)
  await demand(kit)
  assert.equal(await reach(kit, { bearer: before }), 'SECOND_FACTOR')
  const code = await addTotp(kit, cookie)
  effects.shift(STEP_MS)
  assert.equal(await reach(kit, { bearer: await key(cookieOf(await logInWith(kit, code()))) }), 'in')
})

test('the last second factor stays while one is demanded', async (t) => {
  const { kit, cookie } = await start(t)
  await addTotp(kit, cookie)
  const { body } = await kit.ask('GET', `${ME}/factors`, undefined, { cookie })
  const [{ id } = { id: '' }] = body.items as { id: string }[]
  await demand(kit)
  const kept = await kit.ask('DELETE', `${ME}/factors/${id}`, undefined, { cookie })
  assert.deepEqual([kept.status, kept.body.code], [409, 'CONFLICT'])
  await demand(kit, false)
  assert.equal((await kit.ask('DELETE', `${ME}/factors/${id}`, undefined, { cookie })).status, 200)
})

test('who demands it stands in the audit, and people without the right demand nothing', async (t) => {
  const { kit } = await start(t)
  await addPerson(kit, 'ann')
  const ann = await logIn(kit, 'ann')
  const path = '/tenants/default/second-factor'
  assert.equal((await kit.ask('PUT', path, { isDemanded: false }, { cookie: ann })).status, 403)
  await demand(kit)
  await demand(kit)
  const { items } = (await kit.command('audit.list', { action: 'factor.demand' })) as {
    items: { object: string }[]
  }
  assert.deepEqual(
    items.map(({ object }) => object),
    ['demanded'],
  )
})
