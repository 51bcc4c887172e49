import assert from 'node:assert/strict'
import { test } from 'node:test'
import { addPerson, logIn, setUpOwner, shiftedEffects, startPeopleKit } from '../people/people-kit.ts'

test('S48: support access is for one person, ends by the clock or at once, is on record, and cannot extend itself', async (t) => {
  const effects = shiftedEffects()
  const kit = await startPeopleKit(t, { effects })
  const owner = await setUpOwner(kit)
  const helper = await addPerson(kit, 'helga')
  let session = await logIn(kit, 'helga')
  const SITES = '/tenants/default/sites?environment=production'
  const status = async (path: string, cookie = session) =>
    (await kit.ask('GET', path, undefined, { cookie })).status
  const give = (endsAt: number, cookie = owner) =>
    kit.ask(
      'POST',
      '/tenants/default/support',
      {
        ...{ person: helper, role: 'operator', environment: 'production', reason: 'ticket 7', endsAt },
      },
      { cookie },
    )
  const hour = 3_600_000
  assert.equal(await status(SITES), 403)

  const given = await give(effects.date() + hour)
  assert.equal(given.status, 200, given.text)
  assert.equal(await status(SITES), 200)
  // In its scope only.
  assert.equal(await status('/tenants/default/sites?environment=test'), 403)
  const seen = await kit.ask('GET', '/tenants/default/support', undefined, { cookie: owner })
  const [row] = seen.body.items as { state: string; person: string }[]
  assert.deepEqual([row?.state, row?.person], ['in use', helper])
  // For everybody who sees what is connected.
  const shown = async (query = '') => {
    const { body } = await kit.ask('GET', `/tenants/default/status${query}`, undefined, { cookie: owner })
    return (body.support as { person: string; isInUse: boolean }[]).map(({ person, isInUse }) => [
      person,
      isInUse,
    ])
  }
  assert.deepEqual(await shown(), [['helga', true]])
  assert.deepEqual(await shown('?environment=test'), [])

  // Neither itself nor anybody else.
  assert.equal((await give(effects.date() + 2 * hour, session)).status, 403)
  const roles = `/tenants/default/people/${helper}/roles`
  const raised = await kit.ask('POST', roles, { role: 'owner' }, { cookie: session })
  assert.ok([403, 404, 405].includes(raised.status), raised.text)
  await assert.rejects(
    kit.command('support.add', {
      ...{ person: helper, role: 'owner', reason: 'x', endsAt: effects.date() + hour },
    }),
    { code: 'INPUT' },
  )

  // By the clock.
  effects.shift(hour / 4)
  assert.deepEqual(await shown(), [['helga', false]])
  effects.shift((hour * 3) / 4)
  session = await logIn(kit, 'helga')
  assert.equal(await status(SITES), 403)

  // At once.
  const again = await kit.command('support.add', {
    ...{ person: helper, role: 'auditor', environment: 'production', reason: 'ticket 8' },
    endsAt: effects.date() + hour,
  })
  assert.equal(await status(SITES), 200)
  await kit.command('support.revoke', { support: again.support })
  assert.equal(await status(SITES), 403)

  await kit.relay.trail.flush()
  const { records } = await kit.relay.authority.store.readAudit('default', {
    ...{ order: 'oldest', limit: 1_000, filter: {} },
  })
  const support = records.filter(({ action }) => action.startsWith('support.'))
  assert.deepEqual(
    support.map(({ action, actor }) => [action, actor.kind]).sort(),
    [
      ['support.add', 'person'],
      ['support.use', 'person'],
      ['support.add', 'operator'],
      ['support.use', 'person'],
      ['support.revoke', 'operator'],
    ].sort(),
  )
})
