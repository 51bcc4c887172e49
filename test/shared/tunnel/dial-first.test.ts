import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import type { RelayAddress } from '../../../shared/identity/relay-address.ts'
import { dialFirst } from '../../../shared/tunnel/dial-first.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const [A, B, C] = [1, 2, 3].map((port) => ({ host: 'relay.example', port })) as [
  RelayAddress,
  RelayAddress,
  RelayAddress,
]

/** Addresses that answer when the test says so; who gives up is noted. */
function startDial(addresses: readonly RelayAddress[]) {
  const effects = new FakeEffects()
  const stop = new AbortController()
  const tried: number[] = []
  const givenUp: number[] = []
  const discarded: string[] = []
  const pending = new Map<number, PromiseWithResolvers<string>>()
  const result = dialFirst(addresses, {
    effects,
    signal: stop.signal,
    dial: ({ port }, signal) => {
      const attempt = Promise.withResolvers<string>()
      tried.push(port)
      pending.set(port, attempt)
      signal.addEventListener('abort', () => {
        givenUp.push(port)
        attempt.reject(new TunnelError('RELAY_UNREACHABLE', 'given up'))
      })
      return attempt.promise
    },
    discard: (late) => discarded.push(late),
  })
  result.catch(() => undefined)
  return { effects, stop, tried, givenUp, discarded, pending, result }
}

describe('several addresses of a relay', () => {
  it('are dialled one a second while they are silent, and the first that stands wins', async () => {
    const { effects, tried, givenUp, pending, result } = startDial([A, B, C])
    assert.deepEqual(tried, [1])
    await effects.elapse(2_000)
    assert.deepEqual(tried, [1, 2, 3])
    pending.get(3)?.resolve('three')
    assert.deepEqual(await result, { address: C, value: 'three' })
    assert.deepEqual(givenUp, [1, 2, 3])
    assert.equal(effects.timerCount, 0)
  })

  it('follow one another at once where one fails', async () => {
    const { effects, tried, pending, result } = startDial([A, B])
    pending.get(1)?.reject(new TunnelError('RELAY_UNREACHABLE'))
    await effects.elapse(0)
    assert.deepEqual(tried, [1, 2])
    pending.get(2)?.resolve('two')
    assert.equal((await result).value, 'two')
  })

  it('that win late are discarded', async () => {
    const { effects, discarded, pending, result } = startDial([A, B])
    await effects.elapse(1_000)
    pending.get(1)?.resolve('one')
    pending.get(2)?.resolve('two')
    assert.equal((await result).value, 'one')
    assert.deepEqual(discarded, ['two'])
  })

  it('that all fail give the failure that says most', async () => {
    const { effects, pending, result } = startDial([A, B, C])
    pending.get(1)?.reject(new TunnelError('RELAY_UNREACHABLE', 'one'))
    await effects.elapse(0)
    pending.get(2)?.reject(new TunnelError('REVOKED', 'two'))
    await effects.elapse(0)
    pending.get(3)?.reject(new TunnelError('RELAY_UNREACHABLE', 'three'))
    await assert.rejects(result, { code: 'REVOKED' })
  })

  it('are given up with their signal, and no further one is tried', async () => {
    const { effects, stop, tried, result } = startDial([A, B])
    stop.abort(new Error('enough'))
    await assert.rejects(result)
    await effects.elapse(5_000)
    assert.deepEqual(tried, [1])
  })
})
