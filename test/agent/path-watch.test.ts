import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createPathWatch } from '../../agent/path-watch.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { ClientTunnel, GoingAway } from '../../shared/tunnel/client-tunnel.ts'
import { PING_INTERVAL_MS } from '../../shared/tunnel/liveness.ts'
import { FakeEffects } from '../support/fake-effects.ts'
import { recordLog } from '../support/recorded-log.ts'

/** As much of a tunnel as is looked at; it ends when the test says so. */
function fakeTunnel(effects: FakeEffects, relayClock = effects.date()) {
  const closed = Promise.withResolvers<TunnelError>()
  const goingAway = Promise.withResolvers<GoingAway>()
  let idleMs = 0
  const tunnel = {
    relay: { clock: relayClock },
    closed: closed.promise,
    goingAway: goingAway.promise,
    session: { link: { idleMs: () => idleMs } },
  } as unknown as ClientTunnel
  return {
    tunnel,
    goAway: () => goingAway.resolve({ code: 'DRAINING', drainMs: 0, retryAfterMs: 0 }),
    async end(code: 'SESSION_LOST' | 'DRAINING', after: number) {
      idleMs = after
      closed.resolve(new TunnelError(code))
      await effects.elapse(after)
    },
  }
}

describe('what the agent learns of its path', () => {
  it('is an idle cut-off, after two cuts: then it asks sooner, and says so', async () => {
    const effects = new FakeEffects()
    const { log, records } = recordLog()
    const path = createPathWatch({ effects, log })
    assert.equal(path.pingIntervalMs, PING_INTERVAL_MS)
    for (let count = 0; count < 2; count++) {
      const { tunnel, end } = fakeTunnel(effects)
      path.watch(tunnel)
      await end('SESSION_LOST', 10_000)
    }
    assert.equal(path.pingIntervalMs, 5_000)
    assert.ok(JSON.stringify(records).includes('"idleSeconds":10'))
  })

  it('is nothing where the relay said that it goes, or the agent wanted the end', async () => {
    const effects = new FakeEffects()
    const path = createPathWatch({ effects, log: recordLog().log, pingIntervalMs: 8_000 })
    for (const code of ['SESSION_LOST', 'SESSION_LOST', 'DRAINING', 'DRAINING'] as const) {
      const { tunnel, goAway, end } = fakeTunnel(effects)
      path.watch(tunnel)
      goAway()
      await end(code, 8_000)
    }
    assert.equal(path.pingIntervalMs, 8_000)
  })

  it('is how far the clocks differ, of which the log names both', () => {
    const effects = new FakeEffects()
    const { log, records } = recordLog()
    const path = createPathWatch({ effects, log })
    path.watch(fakeTunnel(effects, effects.date() - 400 * 86_400_000).tunnel)
    assert.equal(path.clockSkewMs, -400 * 86_400_000)
    const text = JSON.stringify(records)
    assert.ok(text.includes('2027-01-01T00:00:00.000Z') && text.includes('2025-11-27T00:00:00.000Z'), text)
  })
})
