import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AgentSessions, type SessionCount } from '../../agent/sessions.ts'
import { TunnelError } from '../../shared/errors.ts'
import { formatRelayAddress, type RelayAddress } from '../../shared/identity/relay-address.ts'
import type { ClientTunnel, GoingAway } from '../../shared/tunnel/client-tunnel.ts'
import { FakeEffects } from '../support/fake-effects.ts'
import { recordLog } from '../support/recorded-log.ts'

const A = { host: 'a.test', port: 443 }
const B = { host: 'b.test', port: 443 }

interface Opened {
  readonly name: string
  readonly at: number
  readonly relay: string
  readonly held: readonly string[]
  readonly drains: number[]
  readonly tunnel: ClientTunnel
  lose(error?: TunnelError): void
}

/** A tunnel of which nothing but its beginning and end is real. */
function fakeTunnel(name: string, address: RelayAddress, drains: number[]) {
  const closed = Promise.withResolvers<TunnelError>()
  const goingAway = Promise.withResolvers<GoingAway>()
  const tunnel = {
    session: { streamCount: 0, resetAll: () => undefined },
    address,
    relay: { session: name },
    closed: closed.promise,
    goingAway: goingAway.promise,
    close: (error: TunnelError) => closed.resolve(error),
    retire: (drainMs: number) => goingAway.resolve({ drainMs, retryAfterMs: 0, code: 'DRAINING' }),
    drain: (drainMs: number) => {
      drains.push(drainMs)
      closed.resolve(new TunnelError('DRAINING'))
    },
  } as unknown as ClientTunnel
  return { tunnel, lose: (error = new TunnelError('SESSION_LOST')) => closed.resolve(error) }
}

/** An agent's sessions with relays that answer in `answerMs`, unless their address is among the dead. */
function create(
  options: {
    count?: SessionCount
    addresses?: readonly RelayAddress[]
    dialMs?: number
    answerMs?: number
  } = {},
) {
  const { count = 2, addresses = [A], dialMs = 0, answerMs = 1 } = options
  const effects = new FakeEffects({ seed: 7 })
  const log = recordLog()
  const opened: Opened[] = []
  const tried: string[] = []
  const dead = new Set<RelayAddress>()
  const refused: string[] = []
  let refusal: TunnelError | undefined
  const sessions = new AgentSessions({
    effects,
    log: log.log,
    count,
    addresses,
    open: async (address, held, signal) => {
      tried.push(formatRelayAddress(address))
      if (refusal !== undefined) throw refusal
      if (dead.has(address)) throw new TunnelError('RELAY_UNREACHABLE')
      if (dialMs > 0) await effects.sleep(dialMs, signal)
      const names = await held()
      await effects.sleep(answerMs, signal)
      const name = `s${opened.length}`
      const drains: number[] = []
      const fake = fakeTunnel(name, address, drains)
      opened.push({ name, at: effects.now(), relay: address.host, held: names, drains, ...fake })
      return fake.tunnel
    },
    isUrgent: () => false,
    onRefused: ({ code }) => refused.push(code),
  })
  const stop = new AbortController()
  const done = sessions.run(stop.signal)
  return {
    effects,
    log,
    opened,
    tried,
    dead,
    refused,
    sessions,
    set refusal(error: TunnelError | undefined) {
      refusal = error
    },
    places: () => sessions.standing.map(({ tunnel }) => tunnel.address.host).sort(),
    nth(index: number): Opened {
      const one = opened[index]
      assert.ok(one !== undefined, `session ${index} was not opened`)
      return one
    },
    async [Symbol.asyncDispose]() {
      stop.abort(new TunnelError('CANCELLED'))
      await done
    },
  }
}

describe("an agent's sessions", () => {
  test('are two, the second within a second of the first, each of which names the others', async () => {
    await using world = create()
    await world.effects.elapse(5)
    assert.deepEqual(world.places(), ['a.test'])
    await world.effects.elapse(1_010)
    assert.deepEqual(world.places(), ['a.test', 'a.test'])
    assert.deepEqual(
      world.opened.map(({ held }) => held),
      [[], ['s0']],
    )
  })

  test('are one where the settings say so', async () => {
    await using world = create({ count: 1 })
    await world.effects.elapse(100_000)
    assert.equal(world.opened.length, 1)
  })

  test('go to two addresses where there are two', async () => {
    await using world = create({ addresses: [A, B] })
    await world.effects.elapse(2_000)
    assert.deepEqual(world.places(), ['a.test', 'b.test'])
  })

  test('share an address while the other is dead, and part within 10 s when it is back', async () => {
    await using world = create({ addresses: [A, B] })
    world.dead.add(B)
    await world.effects.elapse(5_000)
    assert.deepEqual(world.places(), ['a.test', 'a.test'])
    await world.effects.elapse(120_000)
    assert.deepEqual(world.places(), ['a.test', 'a.test'], 'what stands serves until there is better')
    const asked = world.tried.filter((address) => address === 'b.test:443').length
    assert.ok(asked >= 4 && asked <= 60, `the dead address was tried ${asked} times in two minutes`)
    world.dead.delete(B)
    await world.effects.elapse(31_000)
    assert.deepEqual(world.places(), ['a.test', 'b.test'])
    assert.equal(world.opened.length, 3)
  })

  test('leave a dead address for the other, and each finds its own again', async () => {
    await using world = create({ addresses: [A, B] })
    await world.effects.elapse(2_000)
    world.dead.add(A)
    world.opened.find(({ relay }) => relay === 'a.test')?.lose()
    await world.effects.elapse(4_000)
    assert.deepEqual(world.places(), ['b.test', 'b.test'])
    world.dead.delete(A)
    await world.effects.elapse(10_000)
    assert.deepEqual(world.places(), ['a.test', 'b.test'])
  })

  test('that are lost one at a time are brought back at once, and never all named as lost', async () => {
    await using world = create()
    await world.effects.elapse(2_000)
    for (let round = 2; round < 12; round++) {
      const losing = round % 2
      world.sessions.standing[losing]?.tunnel.close(new TunnelError('SESSION_LOST'))
      await world.effects.elapse(32_000)
      assert.equal(world.sessions.standing.length, 2)
      assert.equal(world.nth(round).held.length, 1)
    }
  })

  test('that are lost together do not come back together: the second waits for the first, up to a minute', async () => {
    await using world = create()
    await world.effects.elapse(2_000)
    world.nth(0).lose()
    world.nth(1).lose()
    await world.effects.elapse(70_000)
    assert.equal(world.opened.length, 4)
    assert.deepEqual([world.nth(2).held, world.nth(3).held], [[], ['s2']])
    assert.ok(world.nth(3).at - world.nth(2).at > 1_000)
  })

  test('greet one after the other, so that none ends the other by not naming it', async () => {
    await using world = create({ answerMs: 400 })
    await world.effects.elapse(3_000)
    world.nth(0).lose()
    await world.effects.elapse(0)
    world.nth(1).lose()
    // One is dialling when the other is lost: whoever greets second names the first.
    await world.effects.elapse(70_000)
    assert.deepEqual(world.nth(3).held, ['s2'])
  })

  test('are replaced one by one by a new identity, and go when the new ones stand', async () => {
    await using world = create()
    await world.effects.elapse(2_000)
    world.sessions.replaceAll()
    assert.ok(world.sessions.standing.every(({ isLeaving }) => isLeaving))
    await world.effects.elapse(1_000)
    assert.deepEqual(
      world.sessions.standing.map(({ tunnel }) => tunnel.relay.session),
      ['s2', 's3'],
    )
    assert.deepEqual([world.nth(0).drains.length, world.nth(1).drains.length], [1, 1])
    assert.ok(world.nth(2).held.includes('s0') && world.nth(3).held.includes('s2'))
  })

  test('end the streams that wait only when none stands and the relay will have none', async () => {
    await using world = create()
    await world.effects.elapse(2_000)
    world.refusal = new TunnelError('REVOKED')
    world.nth(0).lose(new TunnelError('REVOKED'))
    await world.effects.elapse(10)
    assert.deepEqual(world.refused, [])
    world.nth(1).lose(new TunnelError('REVOKED'))
    await world.effects.elapse(10)
    assert.deepEqual(world.refused, ['REVOKED'])
  })

  test('are not made any more when the agent stops, also where the relay is being dialled', async () => {
    await using world = create({ dialMs: 2_000 })
    await world.effects.elapse(6_000)
    world.nth(0).lose()
    await world.effects.elapse(600)
    assert.equal(world.tried.length, 3, 'it is being dialled')
    const drained = world.sessions.drain()
    await world.effects.elapse(60_000)
    await drained
    assert.equal(world.opened.length, 2)
  })

  test('are drained at the end, and none is brought back', async () => {
    await using world = create()
    await world.effects.elapse(2_000)
    const drained = world.sessions.drain()
    await world.effects.elapse(60_000)
    await drained
    assert.equal(world.opened.length, 2)
    assert.deepEqual(
      world.opened.map(({ drains }) => drains),
      [[5_500], [5_500]],
    )
  })
})
