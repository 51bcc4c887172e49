import assert from 'node:assert/strict'
import { test } from 'node:test'
import { newestCheckpoint } from '../../../relay/audit/checkpoint.ts'
import { checkpointJson } from '../../../relay/audit/format.ts'
import { RELAY_CHAIN } from '../../../relay/audit/record.ts'
import { listAudit, showCheckpoint, verifyAudit } from '../../../relay/operations/audit.ts'
import { addConnector, revokeAgent } from '../../../relay/operations/identities.ts'
import { listSites } from '../../../relay/operations/inventory.ts'
import type { Caller, Operation } from '../../../relay/operations/operation.ts'
import { runOperation } from '../../../relay/operations/run.ts'
import { addEnvironment } from '../../../relay/operations/tenants.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

const OPERATOR: Caller = { kind: 'operator' }

function person(role: 'owner' | 'auditor', authenticatedAt: number): Caller {
  const assignments = [{ tenantId: 'default', role }]
  return { kind: 'person', id: 'ann', tenantId: 'default', assignments, via: 'session', authenticatedAt }
}

function ask<Input, Output extends object>(
  kit: RelayKit,
  operation: Operation<Input, Output>,
  params: object,
  caller: Caller = OPERATOR,
): Promise<Output> {
  const { relay } = kit
  const asking = { relay, caller, source: '192.0.2.1', traceId: 'a'.repeat(32) }
  return runOperation(operation, { ...asking, signal: AbortSignal.timeout(10_000) }, params)
}

async function refusals(kit: RelayKit, tenant = 'default') {
  await kit.relay.trail.flush()
  const { items } = await ask(kit, listAudit, { tenant, action: 'operation.refuse', order: 'oldest' })
  return items.map(({ object, outcome, actor, source, detail }) =>
    [actor.id || actor.kind, object, outcome, source, detail].join(' ').trim(),
  )
}

test('what is refused for want of a right, of a login or of sense leaves a record with who asked', async () => {
  await using kit = await startKit()
  const now = kit.relay.authority.effects.date()
  const auditor = person('auditor', now)
  await kit.command('tenant.add', { tenant: 'acme' })
  const connector = { connector: 'app', resources: ['hq/db'] }
  await assert.rejects(ask(kit, addConnector, connector, auditor), { code: 'FORBIDDEN' })
  await assert.rejects(ask(kit, listSites, { tenant: 'acme' }, auditor), { code: 'NOT_FOUND' })
  await assert.rejects(ask(kit, revokeAgent, { agent: 'hq' }, person('owner', now - 3_600_000)), {
    code: 'LOGIN_AGAIN',
  })
  await assert.rejects(ask(kit, addConnector, { ...connector, extra: 1 }, auditor), { code: 'INPUT' })
  await assert.rejects(ask(kit, addConnector, { ...connector, environment: 'none' }), { code: 'NOT_FOUND' })
  assert.deepEqual(await refusals(kit), [
    'ann connector.add FORBIDDEN 192.0.2.1',
    'ann site.list NOT_FOUND 192.0.2.1',
    'ann agent.revoke LOGIN_AGAIN 192.0.2.1',
    'ann connector.add INPUT 192.0.2.1 extra: strict_object never',
    'operator connector.add NOT_FOUND 192.0.2.1',
  ])
  // Asking for a foreign tenant writes nothing into its chain.
  assert.deepEqual(await refusals(kit, 'acme'), [])
})

test('records page through an opaque cursor, filtered, in both orders', async () => {
  await using kit = await startKit()
  for (let i = 0; i < 25; i++) await ask(kit, addEnvironment, { environment: `e${i}` })
  for (const order of ['oldest', 'newest'] as const) {
    const seen: string[] = []
    let cursor: string | undefined
    do {
      const page = await ask(kit, listAudit, { order, limit: 10, action: 'environment.add', cursor })
      seen.push(...page.items.map(({ object }) => object))
      cursor = page.next
    } while (cursor !== undefined)
    const all = Array.from({ length: 25 }, (_, i) => `e${i}`)
    assert.deepEqual(seen, order === 'oldest' ? all : all.reverse())
  }
})

test('a search that cannot be is refused and names the member and the rule', async () => {
  await using kit = await startKit()
  for (const wrong of [{ limit: 1_001 }, { action: 'nothing' }, { cursor: '1; drop' }, { actorKind: 'x' }]) {
    await assert.rejects(ask(kit, listAudit, wrong), { code: 'INPUT', field: Object.keys(wrong)[0] })
  }
})

test('the chain of the relay itself is for the operator only', async () => {
  await using kit = await startKit()
  const { items } = await ask(kit, listAudit, { tenant: RELAY_CHAIN })
  assert.equal(items[0]?.action, 'relay.start')
  const owner = person('owner', kit.relay.authority.effects.date())
  await assert.rejects(ask(kit, listAudit, { tenant: RELAY_CHAIN }, owner), { code: 'NOT_FOUND' })
})

test('S37: a chain verifies against a checkpoint that was kept elsewhere, and not against another', async () => {
  await using kit = await startKit()
  await assert.rejects(ask(kit, showCheckpoint, {}), { code: 'NOT_FOUND' })
  await kit.stopRelay()
  await kit.startAgain()
  const kept = await ask(kit, showCheckpoint, {})
  const good = await ask(kit, verifyAudit, { checkpoint: kept })
  assert.deepEqual([good.holds, good.vouchedTo], [true, kept.seq])
  const { store } = kit.relay.authority
  const other = { ...checkpointJson(await newestCheckpoint(store, 'default')), hash: '0'.repeat(64) }
  const bad = await ask(kit, verifyAudit, { checkpoint: other })
  assert.deepEqual([bad.holds, bad.fault?.kind], [false, 'checkpoint'])
})
