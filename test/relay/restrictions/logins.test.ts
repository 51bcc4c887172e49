import assert from 'node:assert/strict'
import { test } from 'node:test'
import { PASSWORD, setUpOwner, startPeopleKit } from '../people/people-kit.ts'

test('logins that are restricted: neither a new one nor a session goes on from elsewhere', async (t) => {
  const kit = await startPeopleKit(t)
  const cookie = await setUpOwner(kit, '127.0.0.2')
  const list = (from: string) => kit.ask('GET', '/tenants/default/people', undefined, { cookie, from })
  const logInFrom = (from: string) =>
    kit.ask('POST', '/session', { login: 'olga', password: PASSWORD }, { from })
  assert.equal((await list('127.0.0.3')).status, 200)
  const office = { restriction: 'office', ranges: ['127.0.0.2', '192.0.2.0/24'] }
  await kit.command('restriction.set', office)
  await kit.command('restriction.attach', { restriction: 'office', kind: 'logins' })
  assert.equal((await list('127.0.0.2')).status, 200)
  const elsewhere = await list('127.0.0.3')
  assert.deepEqual([elsewhere.status, elsewhere.body.code], [403, 'RESTRICTED'])
  assert.equal((await logInFrom('127.0.0.3')).status, 403)
  assert.equal((await logInFrom('127.0.0.2')).status, 200)
})
