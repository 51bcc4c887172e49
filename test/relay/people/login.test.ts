import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addPerson, cookieOf, linkOf, logIn, PASSWORD, setUpOwner, startPeopleKit } from './people-kit.ts'

const LIST = '/tenants/default/people'

test('the first owner is made by a link of the machine, and by no other after that', async (t) => {
  const kit = await startPeopleKit(t)
  const made = await kit.command('setup.link', {})
  assert.match(linkOf(made), /^https:\/\/localhost:\d+\/set-password#sp_link_default_[\w-]{43}$/)
  const owner = { login: 'olga', password: PASSWORD }
  const first = await kit.ask('POST', '/links/spend', { link: linkOf(made), ...owner })
  assert.equal(first.status, 200, first.text)
  const again = await kit.ask('POST', '/links/spend', { link: linkOf(made), ...owner, login: 'eve' })
  const madeUp = await kit.ask('POST', '/links/spend', {
    ...{ link: `sp_link_default_${'x'.repeat(43)}`, ...owner, login: 'eve' },
  })
  const { traceId: _, ...body } = again.body
  const { traceId: __, ...madeUpBody } = madeUp.body
  assert.deepEqual([again.status, body], [madeUp.status, madeUpBody])
  assert.equal(again.status, 401)
  await assert.rejects(kit.command('setup.link', {}), { code: 'CONFLICT' })
  const session = await logIn(kit, 'olga')
  const people = await kit.ask('GET', LIST, undefined, { cookie: session })
  assert.equal(people.status, 200, people.text)
  assert.deepEqual((people.body.items as { roles: object[] }[])[0]?.roles, [{ role: 'owner', viaApi: false }])
})

test('S07: a session is a cookie that no script, no other site and no plain connection gets', async (t) => {
  const kit = await startPeopleKit(t)
  await setUpOwner(kit)
  const answer = await kit.ask('POST', '/session', { login: 'Olga', password: PASSWORD })
  const [cookie = ''] = answer.cookies
  assert.match(
    cookie,
    /^__Host-sallyport=sp_session_default_[\w-]{43}; Max-Age=86400; Path=\/; Secure; HttpOnly; SameSite=Strict$/,
  )
  assert.equal(answer.text.includes('sp_session'), false)
  const foreign = await kit.ask(
    'POST',
    '/session/logout',
    {},
    {
      cookie: cookieOf(answer),
      headers: { origin: 'https://evil.example' },
    },
  )
  assert.equal(foreign.status, 403)
  assert.equal((await kit.ask('GET', LIST, undefined, { cookie: cookieOf(answer) })).status, 200)
})

test('a failed login says the same of a name nobody has, a wrong password, a locked account and another tenant', async (t) => {
  const kit = await startPeopleKit(t)
  await setUpOwner(kit)
  await addPerson(kit, 'ann')
  await addPerson(kit, 'locked')
  const wrong = 'not the password at all'
  for (let i = 0; i < 10; i++) await kit.ask('POST', '/session', { login: 'locked', password: wrong })
  const answers = await Promise.all(
    [
      { login: 'ann', password: wrong },
      { login: 'nobody', password: wrong },
      { login: 'locked', password: wrong },
      { login: 'locked', password: PASSWORD },
      { tenant: 'elsewhere', login: 'ann', password: PASSWORD },
      { login: 'ANN ', password: '' },
    ].map((body) => kit.ask('POST', '/session', body)),
  )
  const bodies = answers.map(({ status, body: { traceId: _, ...body }, cookies }) => ({
    status,
    body,
    cookies,
  }))
  for (const one of bodies) assert.deepEqual(one, bodies[0])
  assert.equal(bodies[0]?.status, 401)
})

test('S08: an account locks after as many failures as the tenant says, and only an administrator opens it', async (t) => {
  const kit = await startPeopleKit(t)
  const owner = await setUpOwner(kit)
  const id = await addPerson(kit, 'ann')
  await kit.command('lockout.set', { failures: 3 })
  const fail = () => kit.ask('POST', '/session', { login: 'ann', password: 'something else' })
  await fail()
  await fail()
  await logIn(kit, 'ann')
  for (let i = 0; i < 3; i++) await fail()
  const right = { login: 'ann', password: PASSWORD }
  assert.equal((await kit.ask('POST', '/session', right)).status, 401)
  // Neither time nor a known address opens it: ann is no administrator.
  const reset = await kit.ask('POST', `${LIST}/${id}/unlock`, {}, { cookie: owner })
  assert.equal(reset.status, 200, reset.text)
  assert.equal((await kit.ask('POST', '/session', right)).status, 200)
})

test('S08: nobody locks the last administrator out from where that one is known', async (t) => {
  const kit = await startPeopleKit(t)
  await setUpOwner(kit, '127.0.0.2')
  const attack = { login: 'olga', password: 'guessed by somebody' }
  for (let i = 0; i < 12; i++) await kit.ask('POST', '/session', attack, { from: '127.0.0.66' })
  const right = { login: 'olga', password: PASSWORD }
  const elsewhere = await kit.ask('POST', '/session', right, { from: '127.0.0.3' })
  assert.equal(elsewhere.status, 401, 'from an address that is not known it is shut')
  const known = await kit.ask('POST', '/session', right, { from: '127.0.0.2' })
  assert.equal(known.status, 200, known.text)
  // The exception has a limit of its own.
  for (let i = 0; i < 10; i++) await kit.ask('POST', '/session', attack, { from: '127.0.0.2' })
  assert.equal((await kit.ask('POST', '/session', right, { from: '127.0.0.2' })).status, 401)
})

test('S08: with another administrator who is not locked, a locked one stays out from everywhere', async (t) => {
  const kit = await startPeopleKit(t)
  const owner = await setUpOwner(kit, '127.0.0.2')
  const id = await addPerson(kit, 'otto')
  await kit.command('role.grant', { person: id, role: 'administrator' })
  for (let i = 0; i < 10; i++) {
    await kit.ask('POST', '/session', { login: 'olga', password: 'guessed' }, { from: '127.0.0.66' })
  }
  const right = { login: 'olga', password: PASSWORD }
  assert.equal((await kit.ask('POST', '/session', right, { from: '127.0.0.2' })).status, 401)
  assert.equal((await kit.ask('GET', LIST, undefined, { cookie: owner })).status, 200, 'her session goes on')
  const otto = await logIn(kit, 'otto')
  // An administrator is below an owner and may not act on her; the operator of the machine may.
  assert.equal((await kit.ask('POST', `${LIST}/olga/unlock`, {}, { cookie: otto })).status, 403)
  await kit.command('person.unlock', { person: 'olga' })
  assert.equal((await kit.ask('POST', '/session', right, { from: '127.0.0.2' })).status, 200)
})

test('logins are rare for one address and for one account, and the account is not used up for its own address', async (t) => {
  const rates = { addressPerSecond: 0.01, addressBurst: 6, accountPerSecond: 0.01, accountBurst: 5 }
  const kit = await startPeopleKit(t, { rates })
  await setUpOwner(kit, '127.0.0.2')
  const attack = (from: string) =>
    kit.ask('POST', '/session', { login: 'olga', password: 'guessed' }, { from })
  const codes: number[] = []
  for (let i = 0; i < 5; i++) codes.push((await attack(`127.0.1.${i + 1}`)).status)
  assert.deepEqual(codes, [401, 401, 401, 401, 429])
  await logIn(kit, 'olga', { from: '127.0.0.2' })
  const ofAddress: number[] = []
  for (let i = 0; i < 7; i++) {
    const body = { login: `nobody-${i}`, password: 'guessed' }
    ofAddress.push((await kit.ask('POST', '/session', body, { from: '127.0.0.9' })).status)
  }
  assert.deepEqual(ofAddress, [401, 401, 401, 401, 401, 401, 429])
})

test('every login and lock leaves a record, and none holds what was typed', async (t) => {
  const kit = await startPeopleKit(t)
  await setUpOwner(kit)
  const id = await addPerson(kit, 'ann')
  await kit.command('lockout.set', { failures: 3 })
  const typed = 'typed-by-mistake-canary'
  for (let i = 0; i < 3; i++) await kit.ask('POST', '/session', { login: 'ann', password: typed })
  await kit.ask('POST', '/session', { login: typed, password: typed })
  await kit.command('person.unlock', { person: id })
  await logIn(kit, 'ann')
  await kit.relay.trail.flush()
  const { records } = await kit.relay.authority.store.readAudit('default', { order: 'oldest', limit: 1_000 })
  const ofAnn = records
    .filter(({ object }) => object === id)
    .map(({ action, outcome }) => `${action} ${outcome}`)
  assert.deepEqual(ofAnn, [
    'person.add OK',
    'person.link OK',
    'person.password OK',
    'person.login LOGIN',
    'person.login LOGIN',
    'person.login LOGIN',
    'person.lock OK',
    'person.unlock OK',
    'person.login OK',
  ])
  assert.equal(JSON.stringify(records).includes(typed), false)
  assert.equal(JSON.stringify(records).includes('sp_'), false)
})
