import assert from 'node:assert/strict'
import { test } from 'node:test'
import {
  addPerson,
  cookieOf,
  linkOf,
  logIn,
  PASSWORD,
  type PeopleKit,
  setUpOwner,
  shiftedEffects,
  startPeopleKit,
} from './people-kit.ts'

const ME = '/tenants/default/me'
const PEOPLE = '/tenants/default/people'
const MINUTE_MS = 60_000

async function isAlive(kit: PeopleKit, cookie: string): Promise<boolean> {
  const { status } = await kit.ask('GET', `${ME}/sessions`, undefined, { cookie })
  assert.ok(status === 200 || status === 401, `${status}`)
  return status === 200
}

test('S09: a session ends after 30 minutes without a request, and after 24 hours whatever happens', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const cookie = await setUpOwner(kit)
  effects.shift(29 * MINUTE_MS)
  assert.equal(await isAlive(kit, cookie), true)
  effects.shift(29 * MINUTE_MS)
  assert.equal(await isAlive(kit, cookie), true, 'the request before counts')
  effects.shift(30 * MINUTE_MS)
  assert.equal(await isAlive(kit, cookie), false)
  const another = await logIn(kit, 'olga')
  for (let i = 0; i < 57; i++) {
    effects.shift(25 * MINUTE_MS)
    assert.equal(await isAlive(kit, another), true, `${(i + 1) * 25} minutes`)
  }
  effects.shift(15 * MINUTE_MS)
  assert.equal(await isAlive(kit, another), false, '24 hours')
})

test('S09: logout, a new password, another role and removal end a session at once', async (t) => {
  const kit = await startPeopleKit(t)
  const owner = await setUpOwner(kit)
  const id = await addPerson(kit, 'ann')
  const one = await logIn(kit, 'ann')
  const other = await logIn(kit, 'ann')
  assert.equal((await kit.ask('POST', '/session/logout', {}, { cookie: one })).status, 200)
  assert.deepEqual([await isAlive(kit, one), await isAlive(kit, other)], [false, true])
  const next = 'another sentence of hers'
  const changed = await kit.ask('POST', `${ME}/password`, { current: PASSWORD, next }, { cookie: other })
  assert.equal(changed.status, 200, changed.text)
  assert.equal(await isAlive(kit, other), false)
  assert.equal((await kit.ask('POST', '/session', { login: 'ann', password: PASSWORD })).status, 401)
  const again = cookieOf(await kit.ask('POST', '/session', { login: 'ann', password: next }))
  const role = { role: 'operator', environment: 'test' }
  await kit.ask('POST', `${PEOPLE}/${id}/roles`, role, { cookie: owner })
  assert.equal(await isAlive(kit, again), false, 'a role was given')
  const third = cookieOf(await kit.ask('POST', '/session', { login: 'ann', password: next }))
  const taken = await kit.command('role.revoke', { person: id, ...role })
  assert.deepEqual(taken, {})
  assert.equal(await isAlive(kit, third), false, 'a role was taken')
  const fourth = cookieOf(await kit.ask('POST', '/session', { login: 'ann', password: next }))
  await kit.command('person.remove', { person: id })
  assert.equal(await isAlive(kit, fourth), false)
})

test('S09: a login and a confirmation give another token, and the one before is dead', async (t) => {
  const kit = await startPeopleKit(t)
  const first = await setUpOwner(kit)
  const second = cookieOf(
    await kit.ask('POST', '/session', { login: 'olga', password: PASSWORD }, { cookie: first }),
  )
  assert.notEqual(first, second)
  assert.equal(await isAlive(kit, first), false)
  const confirmed = await kit.ask('POST', '/session/confirm', { password: PASSWORD }, { cookie: second })
  assert.equal(confirmed.status, 200, confirmed.text)
  assert.equal(await isAlive(kit, second), false)
  assert.equal(await isAlive(kit, cookieOf(confirmed)), true)
})

test('what is dangerous wants a login of the last five minutes, and a key cannot do it at all', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const cookie = await setUpOwner(kit)
  const made = await kit.ask(
    'POST',
    `${ME}/keys`,
    { name: 'ci', roles: [{ role: 'owner', viaApi: true }] },
    { cookie },
  )
  assert.equal(made.status, 200, made.text)
  effects.shift(6 * MINUTE_MS)
  const late = await kit.ask('POST', PEOPLE, { login: 'ann' }, { cookie })
  assert.deepEqual([late.status, late.body.code], [401, 'LOGIN_AGAIN'])
  const wrong = await kit.ask('POST', '/session/confirm', { password: 'not hers at all' }, { cookie })
  assert.equal(wrong.status, 401)
  const confirmed = cookieOf(await kit.ask('POST', '/session/confirm', { password: PASSWORD }, { cookie }))
  assert.equal((await kit.ask('POST', PEOPLE, { login: 'ann' }, { cookie: confirmed })).status, 200)
  const byKey = await kit.ask('POST', PEOPLE, { login: 'bob' }, { bearer: String(made.body.key) })
  assert.notEqual(byKey.status, 200)
})

test('a key does what its person may at that moment, until it expires, and never more', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  await setUpOwner(kit)
  const id = await addPerson(kit, 'ann')
  const role = { role: 'auditor', environment: 'test' }
  await kit.command('role.grant', { person: id, ...role })
  const cookie = await logIn(kit, 'ann')
  const more = await kit.ask('POST', `${ME}/keys`, { name: 'more', roles: [{ role: 'owner' }] }, { cookie })
  assert.equal(more.status, 403, more.text)
  const made = await kit.ask(
    'POST',
    `${ME}/keys`,
    { name: 'ci', roles: [role], lifeMs: 3_600_000 },
    { cookie },
  )
  const bearer = String(made.body.key)
  const seen = () => kit.ask('GET', '/tenants/default/sites?environment=test', undefined, { bearer })
  assert.equal((await seen()).status, 200, (await seen()).text)
  assert.equal(
    (await kit.ask('GET', `${ME}/sessions`, undefined, { bearer })).status,
    403,
    'a key is not its person',
  )
  await kit.command('role.revoke', { person: id, ...role })
  assert.equal((await seen()).status, 403)
  await kit.command('role.grant', { person: id, ...role })
  assert.equal((await seen()).status, 200)
  effects.shift(3_600_000)
  assert.equal((await seen()).status, 401)
})

test('nobody gives a role with rights that he lacks, nor acts on who has more', async (t) => {
  const kit = await startPeopleKit(t)
  await setUpOwner(kit)
  const adam = await addPerson(kit, 'adam')
  await kit.command('role.grant', { person: adam, role: 'administrator' })
  const cookie = await logIn(kit, 'adam')
  const statuses: number[] = []
  for (const [path, body] of [
    [`${PEOPLE}/${adam}/roles`, { role: 'owner' }],
    [`${PEOPLE}/olga/reset`, {}],
    [`${PEOPLE}/olga/unlock`, {}],
  ] as const) {
    statuses.push((await kit.ask('POST', path, body, { cookie })).status)
  }
  assert.deepEqual(statuses, [403, 403, 403])
  await assert.rejects(kit.command('person.remove', { person: 'olga' }), { code: 'CONFLICT' })
  await assert.rejects(kit.command('role.revoke', { person: 'olga', role: 'owner' }), { code: 'CONFLICT' })
})

test('a link sets a password once, within an hour, and not a bad one', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  await setUpOwner(kit)
  const id = await addPerson(kit, 'ann')
  const spend = (link: string, password: string) => kit.ask('POST', '/links/spend', { link, password })
  const link = linkOf(await kit.command('person.reset', { person: id }))
  for (const bad of ['short', 'password1234', 'ann ann ann ann', 'aaaaaaaaaaaaaaaa', 'x'.repeat(257)]) {
    const refused = await spend(link, bad)
    assert.deepEqual(
      [refused.status, refused.body.code, refused.text.includes(bad)],
      [400, 'INPUT', false],
      bad,
    )
  }
  const twice = await Promise.all([1, 2].map(() => spend(link, 'a password of two requests')))
  assert.deepEqual(twice.map(({ status }) => status).sort(), [200, 401])
  const late = linkOf(await kit.command('person.reset', { person: id }))
  effects.shift(60 * MINUTE_MS)
  assert.equal((await spend(late, 'a password that comes too late')).status, 401)
  const older = linkOf(await kit.command('person.reset', { person: id }))
  await kit.command('person.reset', { person: id })
  assert.equal((await spend(older, 'by the link before the last')).status, 401)
})

test('a command line is let in by a person of the same tenant who reads its code, once', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const cookie = await setUpOwner(kit)
  const begun = await kit.ask('POST', '/devices', {})
  const { deviceCode, userCode } = begun.body as { deviceCode: string; userCode: string }
  assert.match(userCode, /^[B-DF-HJ-NP-TV-XZ]{4}-[B-DF-HJ-NP-TV-XZ]{4}$/)
  const poll = () => {
    effects.shift(2_000)
    return kit.ask('POST', '/devices/token', { deviceCode })
  }
  assert.deepEqual((await poll()).body, { state: 'waiting' })
  assert.equal((await kit.ask('POST', '/devices/token', { deviceCode })).status, 429)
  const approved = await kit.ask('POST', `${ME}/devices/${userCode.toLowerCase()}/approve`, {}, { cookie })
  assert.equal(approved.status, 200, approved.text)
  const { token } = (await poll()).body as { token: string }
  assert.equal((await kit.ask('GET', PEOPLE, undefined, { bearer: token })).status, 200)
  assert.equal((await kit.ask('GET', PEOPLE, undefined, { cookie: token })).status, 401, 'it is no cookie')
  assert.equal((await poll()).status, 401, 'once')
})
