import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { AgentEvent } from '../../agent/audit/record.ts'
import { DENIAL_LIMITS } from '../../agent/denials.ts'
import { AgentStreams } from '../../agent/streams.ts'
import { encodeOpenMeta } from '../../shared/handshake/open.ts'
import { FLAG } from '../../shared/mux/frame.ts'
import type { Session } from '../../shared/mux/session.ts'
import { FakeEffects } from '../support/fake-effects.ts'
import { recordLog } from '../support/recorded-log.ts'

/** An agent whose rules allow nothing, and a relay that does not care. */
function create() {
  const effects = new FakeEffects()
  const log = recordLog()
  const events: AgentEvent[] = []
  const streams = new AgentStreams({
    agentId: 'a1',
    effects,
    log: log.log,
    resolver: { resolve: async () => [], forget: () => undefined },
    rules: () => new Map(),
    audit: (event) => events.push(event),
    relayAddresses: () => [],
    health: { dialled: () => undefined, failingSince: () => undefined },
  })
  const open = (flags = 0) => {
    const meta = encodeOpenMeta({
      resource: 'db',
      protocol: 'tcp',
      opener: 'connector:dev',
      secret: new Uint8Array(16).fill(7),
      fresh: true,
    })
    const frame = { id: 2, flags, maxOffset: 0, priority: 0, hops: 1, meta, earlyData: new Uint8Array(0) }
    // A session that is touched at all would fail the test.
    streams.opening({ type: 'OPEN', ...frame }, {} as Session)
  }
  return { effects, log, events, streams, open }
}

/** How many refusals of `code` the records tell of, one by one and counted. */
function told(events: readonly AgentEvent[], code: string): number {
  return events
    .filter(({ action, outcome }) => action === 'stream.deny' && outcome === code)
    .reduce((sum, { object, detail = '' }) => sum + (object === '' ? Number.parseInt(detail, 10) : 1), 0)
}

test('a relay that opens without end what the rules deny fills neither log nor audit chain, and every refusal is counted', () => {
  const { effects, log, events, streams, open } = create()
  for (let second = 0; second < 120; second++) {
    for (let count = 0; count < 100; count++) {
      assert.throws(() => open(count % 2 === 0 ? 0 : FLAG.REATTACH), { code: 'DENIED_BY_SITE' })
    }
    effects.advance(1_000)
  }
  // Two intervals: the first ones of each as they are, then the number.
  assert.equal(events.length, 2 * (DENIAL_LIMITS.each + 1))
  assert.equal(log.length, events.length)
  assert.equal(told(events, 'DENIED_BY_SITE'), 12_000)
  assert.equal(streams.denied, 12_000)
  assert.deepEqual(events[0], {
    action: 'stream.deny',
    outcome: 'DENIED_BY_SITE',
    detail: '',
    object: 'db',
    opener: 'connector:dev',
    source: undefined,
    trace: undefined,
  })
  const more = { action: 'stream.deny', object: '', outcome: 'DENIED_BY_SITE', detail: '5980 more, no-rule' }
  assert.deepEqual(events[DENIAL_LIMITS.each], more)
  assert.equal(JSON.stringify(log.records).includes('secret'), false)
  assert.equal(effects.timerCount, 0)
})

test('each reason has a number of its own, and the end of the agent tells what was only counted', () => {
  const { effects, events, streams, open } = create()
  for (let count = 0; count < 50; count++) assert.throws(() => open(), { code: 'DENIED_BY_SITE' })
  streams.pause(true)
  for (let count = 0; count < 30; count++) assert.throws(() => open(), { code: 'PAUSED' })
  assert.equal(events.length, DENIAL_LIMITS.each)
  streams.stop()
  assert.deepEqual(
    events.slice(DENIAL_LIMITS.each).map(({ outcome, detail }) => `${outcome}: ${detail}`),
    ['DENIED_BY_SITE: 30 more, no-rule', 'PAUSED: 30 more'],
  )
  assert.equal(told(events, 'DENIED_BY_SITE') + told(events, 'PAUSED'), 80)
  assert.equal(streams.denied, 50)
  assert.equal(effects.timerCount, 0)
})
