import assert from 'node:assert/strict'
import { it } from 'node:test'
import { realEffects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import type { ClientTunnel } from '../../../shared/tunnel/client-tunnel.ts'
import { keepConnected } from '../../../shared/tunnel/reconnect.ts'

it('a tunnel that is to be replaced serves until the next one stands, however many attempts that takes', async () => {
  const stop = new AbortController()
  const happened: string[] = []
  const attempts: (() => ClientTunnel)[] = [
    () => fakeTunnel('old', true),
    () => {
      throw new TunnelError('RELAY_UNREACHABLE')
    },
    () => fakeTunnel('new', false),
  ]
  function fakeTunnel(name: string, isLeaving: boolean): ClientTunnel {
    const closed = Promise.withResolvers<TunnelError>()
    return {
      closed: closed.promise,
      goingAway: isLeaving
        ? Promise.resolve({ code: 'DRAINING', drainMs: 700, retryAfterMs: 0 })
        : new Promise(() => undefined),
      close: (error: TunnelError) => closed.resolve(error),
      drain: (drainMs: number) => {
        happened.push(`${name} drains for ${drainMs} ms`)
        setImmediate(() => stop.abort())
      },
    } as unknown as ClientTunnel
  }
  await keepConnected({
    effects: { ...realEffects, sleep: async () => undefined },
    signal: stop.signal,
    connect: async () => {
      const next = attempts.shift()
      assert.ok(next !== undefined, 'one attempt too many')
      return next()
    },
    onUp: () => happened.push('up'),
    onDown: ({ code }) => happened.push(code),
  })
  assert.deepEqual(happened, ['up', 'RELAY_UNREACHABLE', 'up', 'old drains for 700 ms'])
})
