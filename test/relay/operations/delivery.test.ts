import assert from 'node:assert/strict'
import { test } from 'node:test'
import { actAt } from '../../support/acts.ts'
import { startApiKit } from '../../support/api-kit.ts'
import { eventually } from '../../support/deadline.ts'
import { LOOPBACK, RECEIVER_CA, webhookReceiver } from '../audit/delivery/delivery-fixture.ts'

test("the relay's own chain is sent on like a tenant's, by the operator only, also after a restart and a new master key", async (t) => {
  await using api = await startApiKit({ deliveryRanges: LOOPBACK })
  const { kit } = api
  const seen: string[] = []
  const target = await webhookReceiver(t, (_request, body, response) => {
    const { tenant, records } = JSON.parse(body)
    assert.equal(tenant, '@relay')
    seen.push(...records.map(({ object }: { object: string }) => object))
    response.writeHead(204).end()
  })
  const { token } = (await kit.command('operator.add', { name: 'laptop' })) as { token: string }
  const delivery = { delivery: 'siem', kind: 'webhook', target, ca: RECEIVER_CA }
  const owner = api.callers.withRole('owner')
  assert.equal(
    (await api.ask('POST', '/tenants/@relay/deliveries', { token: owner, body: delivery })).status,
    404,
  )
  const added = await api.ask('POST', '/tenants/@relay/deliveries', { token, body: delivery })
  assert.equal(added.status, 200, added.text)
  await api.ask('POST', '/tenants', { token, body: { tenant: 'acme' } })
  await eventually(() => seen.includes('acme'), 'the record of a tenant that was added')
  assert.equal(((await kit.command('key.rotate', { master: true })) as { tenants: number }).tenants, 2)
  await assert.rejects(kit.command('key.rotate', { master: true, tenant: 'acme' }), { code: 'USAGE' })
  await kit.stopRelay()
  await kit.startAgain()
  await kit.command('tenant.add', { tenant: 'later' })
  await eventually(() => seen.includes('later'), 'a record after the restart')
  const { items } = (await kit.command('delivery.list', { tenant: '@relay' })) as {
    items: { error?: string }[]
  }
  assert.deepEqual(
    items.map(({ error }) => error),
    [undefined],
  )
  await kit.command('delivery.remove', { tenant: '@relay', delivery: 'siem' })
})

test('the relay is no tenant: no list has it, and nothing of a tenant may be asked about it', async () => {
  await using api = await startApiKit()
  const { kit } = api
  const { items } = (await kit.command('tenant.list', {})) as { items: { name: string }[] }
  assert.deepEqual(
    items.map(({ name }) => name),
    ['default'],
  )
  for (const [name, params] of [
    ['environment.add', { environment: 'staging' }],
    ['person.add', { login: 'ann' }],
    ['machine.add', { machine: 'ci', role: 'owner' }],
    ['status.show', {}],
  ] as const) {
    await assert.rejects(kit.command(name, { tenant: '@relay', ...params }), { code: 'NOT_FOUND' }, name)
  }
  for (const name of ['tenant.close', 'tenant.remove', 'setup.link']) {
    await assert.rejects(kit.command(name, { tenant: '@relay' }), { code: 'NOT_FOUND' }, name)
  }
  const { store } = kit.relay.authority
  await assert.rejects(store.addEnvironment('@relay', 'staging', false, actAt()), { code: 'NOT_FOUND' })
})
