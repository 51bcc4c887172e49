import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import { encodeControl } from '../../../shared/mux/encode.ts'
import { MAX_LINKS } from '../../../shared/mux/link-growth.ts'
import type { LinkShell } from '../../support/link-shell.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair, createRelayed, joinLink } from '../../support/session-pair.ts'
import type { StreamProbe } from '../../support/stream-probe.ts'

const MIB = 1_048_576
const SEEDS = 150

describe('a session of several links', () => {
  test('puts one bulk stream on all of them, faster than the first alone, and in order', () => {
    const rate = 500
    const alone = timeFor(2 * MIB, () => createPair({ delayMs: 20, rate }))
    const striped = timeFor(2 * MIB, () => {
      const pair = createPair({ delayMs: 20, rate })
      for (const delayMs of [5, 20, 60]) joinLink(pair.effects, [pair.peer, pair.relay], { delayMs, rate })
      return pair
    })
    assert.ok(striped < alone / 2, `${striped} ms instead of ${alone}`)
  })

  test('keeps all of a small stream on the first', () => {
    const pair = createPair({ delayMs: 5 })
    const [near, far] = joinLink(pair.effects, [pair.peer, pair.relay])
    const opener = pair.peer.open()
    for (let count = 0; count < 50; count++) {
      opener.write(1_000)
      pair.relay.accepted[0]?.write(1_000)
      pair.run(20)
    }
    assert.equal(pair.relay.peer().received, 50_000)
    assert.deepEqual([near.out.written, far.out.written], [0, 0])
  })

  test('loses no byte when one of them is cut, whichever side notices', () => {
    for (const noticing of ['near', 'far', 'silent'] as const) {
      const pair = createPair({ delayMs: 20, rate: 1_000 })
      const [near, far] = joinLink(pair.effects, [pair.peer, pair.relay], { delayMs: 30, rate: 1_000 })
      const opener = pair.peer.open()
      pair.run(100)
      opener.write(3 * MIB)
      pair.relay.peer().write(3 * MIB)
      pair.run(1_000)
      assert.ok(near.out.written > 100_000 && far.out.written > 100_000, 'the link carries its part')
      cut([near, far], noticing)
      pair.run(60_000)
      assert.deepEqual([opener.received, pair.relay.peer().received], [3 * MIB, 3 * MIB], noticing)
      assert.equal(pair.peer.session.linkCount, 1)
      assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
    }
  })

  test('survives through a relay what it survives without: links of both sides come and go', () => {
    const relayed = createRelayed({ delayMs: 10, rate: 1_000 })
    const opener = relayed.connector.open()
    relayed.run(100)
    opener.write(4 * MIB)
    relayed.agent.peer().write(4 * MIB)
    for (let count = 0; count < 10; count++) {
      const ends =
        count % 2 === 0 ? [relayed.connector, relayed.toConnector] : [relayed.agent, relayed.toAgent]
      const link = joinLink(relayed.effects, ends as [SessionEnd, SessionEnd], {
        delayMs: 3 * count,
        rate: 800,
      })
      relayed.run(300)
      cut(link, (['near', 'far', 'silent'] as const)[count % 3] ?? 'near')
    }
    relayed.run(60_000)
    assert.deepEqual([opener.received, relayed.agent.peer().received], [4 * MIB, 4 * MIB])
    opener.live.end()
    relayed.agent.peer().live.end()
    relayed.run(1_000)
    relayed.assertClean()
  })

  test('ends a further link, and nothing else, where the peer sends what belongs on the first', () => {
    const pair = createPair()
    const opener = pair.peer.open()
    const [, far] = joinLink(pair.effects, [pair.peer, pair.relay])
    pair.run(10)
    far.chunk(encodeControl({ type: 'CREDIT', id: opener.live.id, maxOffset: 1, consumed: 0, fin: false }))
    assert.equal(far.error?.code, 'PROTOCOL')
    pair.run(10)
    assert.deepEqual([pair.peer.error, pair.relay.error], [undefined, undefined])
    assert.equal(pair.relay.session.linkCount, 1)
  })

  test('takes its further links along when it ends', () => {
    const pair = createPair()
    const shells = joinLink(pair.effects, [pair.peer, pair.relay])
    pair.peer.fail(new TunnelError('REVOKED'))
    pair.run(10)
    assert.deepEqual(
      shells.map(({ error }) => error?.code),
      ['REVOKED', 'SESSION_LOST'],
    )
  })

  test(`has ${MAX_LINKS} links at most`, () => {
    const pair = createPair()
    for (let count = 1; count < MAX_LINKS; count++) joinLink(pair.effects, [pair.peer, pair.relay])
    assert.throws(() => joinLink(pair.effects, [pair.peer, pair.relay]), { code: 'OVERLOADED' })
  })

  test('takes no link before its greeting', () => {
    const pair = createPair({ isGreeted: false })
    assert.throws(() => joinLink(pair.effects, [pair.peer, pair.relay]), { code: 'SESSION_LOST' })
  })

  test('hears from the relay how many links it would like, and asks for no more than there may be', () => {
    const pair = createPair()
    pair.relay.session.control(encodeControl({ type: 'LINKS', id: 0, wanted: 4 }))
    pair.relay.session.control(encodeControl({ type: 'LINKS', id: 0, wanted: 255 }))
    pair.relay.session.control(encodeControl({ type: 'LINKS', id: 0, wanted: 0 }))
    pair.run(10)
    assert.deepEqual(pair.peer.wanted, [4, MAX_LINKS, 1])
  })
})

test(`streams over links that come and go at any instant arrive whole: ${SEEDS} random histories`, () => {
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      runHistory(seed)
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
})

/** Virtual time that `bytes` take from the peer to the relay, in ms. */
function timeFor(bytes: number, make: () => ReturnType<typeof createPair>): number {
  const pair = make()
  const opener = pair.peer.open()
  const began = pair.effects.now()
  opener.write(bytes)
  while ((pair.relay.accepted[0]?.received ?? 0) < bytes) {
    pair.run(10)
    assert.ok(pair.effects.now() - began < 120_000, 'it goes on')
  }
  return pair.effects.now() - began
}

function cut([near, far]: readonly [LinkShell, LinkShell], noticing: 'near' | 'far' | 'silent'): void {
  const lost = new TunnelError('SESSION_LOST')
  if (noticing === 'silent') {
    near.out.isCarrying = false
    far.out.isCarrying = false
  } else if (noticing === 'near') near.fail(lost)
  else far.fail(lost)
}

/** Streams both ways through a relay, or session to session, while chance adds and cuts links. */
function runHistory(seed: number): void {
  const options = { seed, delayMs: seed % 40, rate: seed % 3 === 0 ? 300 : 3_000, cuts: 'random' as const }
  const world = seed % 2 === 0 ? relayedWorld(options) : pairWorld(options)
  const { effects } = world
  const below = (count: number) => Math.floor(effects.random() * count)
  const openers: StreamProbe[] = []
  const links: [LinkShell, LinkShell][] = []
  for (let step = 0; step < 30; step++) {
    if (step === 0 || below(8) === 0) {
      const opener = world.opener.open(openers.length * 2)
      opener.write(below(MIB))
      openers.push(opener)
    }
    for (const accepted of world.acceptor.accepted) if (accepted.written === 0) accepted.write(1 + below(MIB))
    addOrCut(world, links, below)
    world.run(below(120))
  }
  world.run(60_000)
  finish(world, openers)
}

/** Every stream ends cleanly with every byte, and no link died of what it carried. */
function finish(world: World, openers: readonly StreamProbe[]): void {
  for (const { further } of world.sessions.flat())
    for (const { error } of further) assert.notEqual(error?.code, 'PROTOCOL', error?.detail)
  for (const opener of openers) opener.live.end()
  for (const accepted of world.acceptor.accepted) accepted.live.end()
  world.run(10_000)
  for (const [index, opener] of openers.entries()) {
    const accepted = world.acceptor.peer(index)
    assert.deepEqual([opener.received, accepted.received], [accepted.written, opener.written])
    assert.deepEqual([opener.closedWith, accepted.closedWith], [null, null])
  }
  world.assertClean()
}

function addOrCut(world: World, links: [LinkShell, LinkShell][], below: (count: number) => number): void {
  const at = below(links.length + 1)
  const link = links[at]
  if (link !== undefined) {
    if (below(2) === 0) return
    links.splice(at, 1)
    cut(link, (['near', 'far', 'silent'] as const)[below(3)] ?? 'near')
    return
  }
  const pair = world.sessions[below(world.sessions.length)]
  if (pair === undefined || pair[0].session.linkCount >= 5) return
  links.push(joinLink(world.effects, pair, { delayMs: below(100), rate: 100 + below(3_000), cuts: 'random' }))
}

interface World {
  readonly effects: ReturnType<typeof createPair>['effects']
  readonly opener: SessionEnd
  readonly acceptor: SessionEnd
  readonly sessions: readonly (readonly [SessionEnd, SessionEnd])[]
  run(ms: number): void
  assertClean(): void
}

function pairWorld(options: Parameters<typeof createPair>[0]): World {
  const pair = createPair(options)
  return { ...pair, opener: pair.peer, acceptor: pair.relay, sessions: [[pair.peer, pair.relay]] }
}

function relayedWorld(options: Parameters<typeof createRelayed>[0]): World {
  const relayed = createRelayed(options)
  return {
    ...relayed,
    opener: relayed.connector,
    acceptor: relayed.agent,
    sessions: [
      [relayed.connector, relayed.toConnector],
      [relayed.agent, relayed.toAgent],
    ],
  }
}
