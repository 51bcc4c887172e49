/**
 * How long a page of audit records takes among 100,000, through the operation that the API runs. Alone:
 * node bench/audit-pages.ts
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { listAudit } from '../relay/operations/audit.ts'
import { runOperation } from '../relay/operations/run.ts'
import { startRelay } from '../relay/relay.ts'
import { realEffects } from '../shared/effects.ts'
import { createLog } from '../shared/log.ts'

const RECORDS = 100_000

const directory = await mkdtemp(join(tmpdir(), 'sallyport-bench-'))
const relay = await startRelay({
  directory,
  listen: { host: '127.0.0.1', port: 0 },
  name: '127.0.0.1',
  effects: realEffects,
  log: createLog({ level: 'silent' }),
})
try {
  for (let i = 0; i < RECORDS; i += 2_000) {
    await relay.authority.store.relay.appendAudit(
      Array.from({ length: 2_000 }, (_, n) => ({
        time: i + n,
        event: {
          ...({
            tenantId: 'default',
            environment: 'production',
            action: 'stream.close',
            outcome: 'OK',
          } as const),
          ...{ actor: { kind: 'connector', id: `c${n % 50}` } as const, source: '192.0.2.1' },
          ...{ object: `hq/r${n % 100}`, traceId: `${i + n}`, detail: 'sent 1, received 2, 3 ms' },
        },
      })),
    )
  }
  const cases = {
    'a page of 100': { limit: 100 },
    'a page of 1,000': { limit: 1_000 },
    'a page of 100 where one in 100 matches': { limit: 100, object: 'hq/r7' },
    'a page where nothing matches': { limit: 100, object: 'nothing' },
  }
  for (const [name, params] of Object.entries(cases)) {
    const times: number[] = []
    let cursor: string | undefined
    for (let i = 0; i < 40; i++) {
      const begin = performance.now()
      const page = await runOperation(
        listAudit,
        {
          relay,
          caller: { kind: 'operator' },
          source: 'local',
          traceId: '',
          signal: AbortSignal.timeout(60_000),
        },
        { ...params, cursor },
      )
      times.push(performance.now() - begin)
      cursor = page.next
    }
    times.sort((a, b) => a - b)
    const [median = 0, worst = 0] = [times[20], times.at(-2)]
    process.stdout.write(`${name}: median ${median.toFixed(1)} ms, p97 ${worst.toFixed(1)} ms\n`)
  }
} finally {
  await relay.stop(0)
  await rm(directory, { recursive: true, force: true })
}
