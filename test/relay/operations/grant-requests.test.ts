import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Role } from '../../../relay/access/rights.ts'
import { OPERATIONS } from '../../../relay/operations/list.ts'
import type { Caller } from '../../../relay/operations/operation.ts'
import { runOperation } from '../../../relay/operations/run.ts'
import { realEffects } from '../../../shared/effects.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

let ahead = 0
const effects = { ...realEffects, date: () => realEffects.date() + ahead }

function person(id: string, role: Role, site?: string): Caller {
  const place = { tenantId: 'default', environment: 'production', site }
  return {
    ...{ kind: 'person', id, tenantId: 'default', via: 'session', authenticatedAt: effects.date() },
    assignments: [{ ...place, role }],
  }
}

describe('access for a while', () => {
  let kit: RelayKit
  const dev = person('dev', 'developer')
  const lead = person('lead', 'operator')

  before(async () => {
    kit = await startKit({ effects })
    await kit.credentials('app', 'berlin/web')
  })

  after(() => kit[Symbol.asyncDispose]())

  const run = (who: Caller, name: string, params: object): Promise<object> => {
    const caller = { ...who, authenticatedAt: effects.date() }
    const operation = OPERATIONS.find((one) => one.name === name)
    assert.ok(operation)
    const asking = { relay: kit.relay, source: '192.0.2.7', traceId: 'a'.repeat(32) }
    return runOperation(operation, { ...asking, caller, signal: AbortSignal.timeout(5_000) }, params)
  }
  const ask = async (caller = dev, resource = 'berlin/db') => {
    const wish = { connector: 'app', resource, reason: 'a fault', durationMs: 3_600_000 }
    return ((await run(caller, 'grant.request', wish)) as { request: string }).request
  }
  const isGranted = async () => {
    const { store } = kit.relay.authority
    const app = await store.findConnectorByName('default', 'production', 'app')
    const terms = await store.grantTerms('default', app?.id ?? '', 'berlin', 'db')
    return terms.some(({ expiresAt = 0 }) => expiresAt > effects.date())
  }

  it('begins when somebody else approves, and is over by itself', async () => {
    const request = await ask()
    assert.equal(await isGranted(), false)
    const answer = (await run(lead, 'grant.approve', { request })) as { expiresAt: number }
    assert.ok(Math.abs(answer.expiresAt - effects.date() - 3_600_000) < 5_000)
    assert.equal(await isGranted(), true)
    ahead += 3_605_000
    assert.equal(await isGranted(), false)
    const { items } = (await run(dev, 'grant.requests', {})) as { items: { state: string }[] }
    assert.equal(items[0]?.state, 'over')
  })

  it('is never approved by the one who asked, even where that one may approve', async () => {
    const boss = person('boss', 'owner')
    const request = await ask(boss)
    await assert.rejects(run(boss, 'grant.approve', { request }), { code: 'FORBIDDEN' })
    assert.equal(await isGranted(), false)
    await run(lead, 'grant.approve', { request })
    await run(boss, 'grant.remove', { connector: 'app', resource: 'berlin/db' })
    assert.equal(await isGranted(), false)
  })

  it('a developer approves nothing, and whoever approves asks for nothing', async () => {
    const request = await ask()
    await assert.rejects(run(dev, 'grant.approve', { request }), { code: 'FORBIDDEN' })
    await assert.rejects(ask(person('audit', 'auditor')), { code: 'FORBIDDEN' })
    await run(lead, 'grant.refuse', { request })
    await assert.rejects(run(lead, 'grant.approve', { request }), { code: 'CONFLICT' })
    assert.equal(await isGranted(), false)
  })

  it('a right at one site decides over requests for that site only', async () => {
    const request = await ask()
    const there = person('there', 'operator', 'munich')
    await assert.rejects(run(there, 'grant.approve', { request, site: 'berlin' }), { code: 'FORBIDDEN' })
    await assert.rejects(run(there, 'grant.approve', { request, site: 'munich' }), { code: 'NOT_FOUND' })
    const here = person('here', 'operator', 'berlin')
    await run(here, 'grant.refuse', { request, site: 'berlin' })
  })

  it('a request that waits too long is over, and so many wait at a time', async () => {
    const request = await ask()
    ahead += 86_405_000
    await assert.rejects(run(person('lead', 'operator'), 'grant.approve', { request }), { code: 'CONFLICT' })
    const eager = person('eager', 'developer')
    for (let i = 0; i < 20; i++) await ask(eager)
    await assert.rejects(ask(eager), { code: 'ENHANCE_CALM' })
  })

  it('leaves a record of each step, with who did it', async () => {
    const { records } = await kit.relay.authority.store.readAudit('default', {
      ...{ order: 'oldest', limit: 100 },
      filter: { action: 'grant.approve' },
    })
    assert.deepEqual(
      records.map(({ actor, source, outcome }) => [actor.id, source, outcome]),
      [
        ['lead', '192.0.2.7', 'OK'],
        ['lead', '192.0.2.7', 'OK'],
      ],
    )
  })
})
