import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Effects, realEffects } from '../../../shared/effects.ts'
import type { TunnelError } from '../../../shared/errors.ts'
import type { ClientTunnel } from '../../../shared/tunnel/client-tunnel.ts'
import { keepConnected } from '../../../shared/tunnel/reconnect.ts'

/** The pauses of a client whose relay says GOAWAY `livedMs` after each greeting, in ms, with the largest jitter. */
async function pausesAfter(livedMs: readonly number[], isUrgent = false): Promise<number[]> {
  const stop = new AbortController()
  const pauses: number[] = []
  let now = 0
  const effects: Effects = {
    ...realEffects,
    now: () => now,
    random: () => 1,
    sleep: async (ms) => {
      pauses[pauses.length - 1] = (pauses.at(-1) ?? 0) + ms
    },
  }
  const lives = [...livedMs]
  const tunnel = () =>
    ({
      closed: new Promise<TunnelError>(() => undefined),
      get goingAway() {
        now += lives.shift() ?? 0
        return Promise.resolve({ code: 'DRAINING', drainMs: 0, retryAfterMs: 0 })
      },
      drain() {},
      close() {},
    }) as unknown as ClientTunnel
  await keepConnected({
    effects,
    signal: stop.signal,
    isUrgent: () => isUrgent,
    connect: async () => {
      pauses.push(0)
      if (lives.length === 0) stop.abort()
      return tunnel()
    },
    onUp() {},
    onDown() {},
  })
  return pauses
}

it('S27: a relay that says GOAWAY to whom it has just let in is asked less and less often', async () => {
  assert.deepEqual((await pausesAfter(Array(9).fill(10))).slice(0, 9), [
    ...[0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000],
  ])
})

it('a relay that restarts now and then gets its replacement at once', async () => {
  assert.deepEqual((await pausesAfter([10, 60_000, 70_000, 10, 60_000])).slice(0, 5), [0, 0, 0, 0, 0])
})

it('a relay that restarts again and again is asked at least every 2 s while streams wait', async () => {
  assert.deepEqual((await pausesAfter(Array(7).fill(10), true)).slice(0, 7), [
    ...[0, 500, 1_000, 2_000, 2_000, 2_000, 2_000],
  ])
})
