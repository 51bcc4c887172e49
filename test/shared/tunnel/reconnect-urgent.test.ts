import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Effects, realEffects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { keepConnected } from '../../../shared/tunnel/reconnect.ts'

/** When the attempts are made, in ms, where streams begin to wait for a tunnel at `urgentAt` and `code` is what each ends with. */
async function attemptsWith(code: 'RELAY_UNREACHABLE' | 'REVOKED', urgentAt: number): Promise<number[]> {
  const stop = new AbortController()
  const attempts: number[] = []
  let now = 0
  const effects: Effects = {
    ...realEffects,
    now: () => now,
    random: () => 1,
    sleep: async (ms) => {
      now += ms
    },
  }
  await keepConnected({
    effects,
    signal: stop.signal,
    isUrgent: () => now >= urgentAt,
    connect: async () => {
      attempts.push(now)
      if (attempts.length === 10) stop.abort()
      throw new TunnelError(code)
    },
    onUp() {},
    onDown() {},
  })
  return attempts
}

it('a long pause ends within 2 s where streams begin to wait for a tunnel in the middle of it', async () => {
  const attempts = await attemptsWith('RELAY_UNREACHABLE', 40_000)
  // 0.5, 1, 2, 4, 8 and 16 s; the next pause would have been until 61.5 s.
  assert.deepEqual(attempts.slice(0, 9), [0, 500, 1_500, 3_500, 7_500, 15_500, 31_500, 41_500, 43_500])
})

it('who was revoked is not asked again sooner for that', async () => {
  const [first = 0, second = 0] = await attemptsWith('REVOKED', 10_000)
  assert.ok(second - first >= 60_000)
})
