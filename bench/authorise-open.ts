import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Act } from '../relay/audit/record.ts'
import { Enforcement } from '../relay/enforcement/enforcement.ts'
import type { Living } from '../relay/enforcement/opening.ts'
import { parseHours } from '../relay/grants/hours.ts'
import { openSqliteStore } from '../relay/store/sqlite-store.ts'
import { realEffects } from '../shared/effects.ts'
import { createLog } from '../shared/log.ts'

/**
 * What it costs the relay to authorise an OPEN: the look-up of the grant, its terms, freezes and restrictions, and the place
 * among what lives. 1,000 connectors with 10 grants each, 200 freezes. CPU time of this process, no wire.
 *
 *     node bench/authorise-open.ts
 *
 * The exit status is 1 where an OPEN costs more than 50 microseconds.
 */

const LIMIT_US = 50
const CONNECTORS = 1_000
const OPENS = 20_000

const directory = mkdtempSync(join(tmpdir(), 'sallyport-bench-'))
const store = await openSqliteStore(join(directory, 'relay.db'), {
  effects: realEffects,
  wrappers: () => [],
})
const act: Act = {
  actor: { kind: 'operator', id: '' },
  source: 'local',
  traceId: 'f'.repeat(32),
  at: Date.now(),
}
const hours = parseHours('mon-sun 00:00-24:00 Europe/Berlin')
for (let i = 0; i < CONNECTORS; i++) {
  const issued = { serial: `${i}`, fingerprint: `${i}`, notAfter: act.at + 86_400_000 }
  const connector = { ...issued, id: `c${i}`, environment: 'production', name: `c${i}`, createdAt: act.at }
  const grants = Array.from({ length: 9 }, (_, n) => ({ site: 'hq', resource: `plain-${n}` }))
  await store.addConnector('default', connector, grants, act)
  await store.putGrant('default', { connectorId: `c${i}`, site: 'hq', resource: 'hours', hours }, act)
}
for (let i = 0; i < 200; i++) {
  const freeze = { kind: 'resource', environment: 'production', name: `hq/frozen-${i}`, reason: '' } as const
  await store.addFreeze('default', { ...freeze, createdAt: act.at }, act)
}
const enforcement = new Enforcement({
  ...{ store, closed: new Set(), effects: realEffects, log: createLog({ level: 'error' }) },
  sessions: { list: () => [] },
})
await enforcement.start()

async function measure(resource: (i: number) => string): Promise<number> {
  let us = 0
  for (const count of [OPENS / 4, OPENS]) {
    const before = process.cpuUsage()
    for (let i = 0; i < count; i++) {
      const id = `c${(i * 7) % CONNECTORS}`
      const place = { tenantId: 'default', environment: 'production', site: 'hq', resource: resource(i) }
      const living: Living = {
        opening: { ...place, connector: { id, name: id }, source: '192.0.2.1' },
        end: () => undefined,
      }
      enforcement.add(living)
      await enforcement.authorize(living)
      enforcement.remove(living)
    }
    const { user, system } = process.cpuUsage(before)
    us = (user + system) / count
  }
  return us
}

try {
  const plain = await measure((i) => `plain-${i % 9}`)
  const inHours = await measure(() => 'hours')
  process.stdout.write(`a grant: ${plain.toFixed(1)} us; with hours: ${inHours.toFixed(1)} us\n`)
  if (Math.max(plain, inHours) > LIMIT_US) process.exitCode = 1
} finally {
  enforcement.stop()
  await store[Symbol.asyncDispose]()
  rmSync(directory, { recursive: true, force: true })
}
