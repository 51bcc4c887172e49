import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { fastEffects } from '../support/clocks.ts'
import { eventually } from '../support/deadline.ts'
import { startIdleCutter } from '../support/middle-boxes.ts'
import { startKit } from '../support/relay-kit.ts'

/** The agent's clock runs so many times as fast as ours; the relay's does not, so only the agent breaks the silence. */
const FASTER = 20

/** Of the agent's clock: below the silence of 16 s to 24 s that it keeps by default, above the half of it. */
const CUT_MS = 14_000

describe('a path that cuts idle connections sooner than the agent speaks', { concurrency: true }, () => {
  for (const how of ['reset', 'silent'] as const) {
    it(`costs two sessions where it does so ${how === 'reset' ? 'with a reset' : 'without a word'}, and then no more`, async () => {
      await using kit = await startKit()
      await using cutter = await startIdleCutter(kit.port, CUT_MS / FASTER, how)
      const effects = fastEffects(FASTER)
      const { agent, log } = await kit.startAgent({
        effects,
        address: { host: '127.0.0.1', port: cutter.port },
      })
      await log.until('the path cuts idle connections, so the agent asks more often')
      assert.ok(agent.status().pingIntervalMs * 1.2 < CUT_MS, `${agent.status().pingIntervalMs} ms`)
      await log.until('connected', {}, log.length)
      // What dialled before it knew still goes by the old interval.
      const known = cutter.connections
      await eventually(() => agent.status().connected, 'the agent connected')
      await effects.sleep(5 * CUT_MS, AbortSignal.timeout(30_000))
      assert.ok(cutter.connections - known <= 1, `${cutter.connections - known} connections more`)
      assert.equal(agent.status().connected, true)
    })
  }
})
