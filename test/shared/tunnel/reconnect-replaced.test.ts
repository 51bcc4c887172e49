import assert from 'node:assert/strict'
import { it } from 'node:test'
import { type Effects, realEffects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import type { ClientTunnel } from '../../../shared/tunnel/client-tunnel.ts'
import { keepConnected } from '../../../shared/tunnel/reconnect.ts'

it('who was replaced leaves the field to the other for half a minute at least', async () => {
  const stop = new AbortController()
  const effects: Effects = { ...realEffects, now: () => 0, random: () => 0, sleep: async () => stop.abort() }
  const closed = Promise.withResolvers<TunnelError>()
  const tunnel = {
    closed: closed.promise,
    goingAway: Promise.resolve({ code: 'REPLACED', drainMs: 0, retryAfterMs: 0 }),
    // The relay closes behind its GOAWAY, so this is what the tunnel itself has seen.
    close: () => closed.resolve(new TunnelError('SESSION_LOST')),
  } as unknown as ClientTunnel
  const downs: { code: string; retryMs: number }[] = []
  await keepConnected({
    effects,
    signal: stop.signal,
    connect: async () => tunnel,
    onUp() {},
    onDown: ({ code }, retryMs) => downs.push({ code, retryMs }),
  })
  assert.deepEqual(downs, [{ code: 'REPLACED', retryMs: 30_000 }])
})
