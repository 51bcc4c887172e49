import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import { FLAG } from '../../../shared/mux/frame.ts'
import { GRACE_MS } from '../../../shared/tunnel/resumption.ts'
import { createResumption as create } from './resumption-world.ts'

describe('an opener of streams that survive', () => {
  test('gives each a secret of its own and asks for a far end that keeps it', () => {
    const world = create()
    world.open()
    world.open()
    const secrets = world.opens.map(({ meta }) => Buffer.from(meta.secret ?? []).toString('hex'))
    assert.deepEqual(
      secrets.map((secret) => secret.length),
      [32, 32],
    )
    assert.notEqual(secrets[0], secrets[1])
    for (const { flags, meta } of world.opens) {
      assert.equal(flags, FLAG.RESUMABLE)
      assert.deepEqual([meta.attempt, meta.fresh, meta.agent], [undefined, undefined, undefined])
    }
  })

  test('names the agent that answered, and tries with numbers that only rise', () => {
    const world = create()
    const probe = world.open()
    for (let loss = 1; loss <= 3; loss++) {
      world.lose(probe)
      world.pair.run(200)
      assert.equal(world.resumption.waitingCount, 0)
    }
    const again = world.opens.slice(1)
    assert.deepEqual(
      again.map(({ flags, meta }) => [flags, meta.attempt, meta.fresh, meta.agent]),
      [1, 2, 3].map((attempt) => [FLAG.RESUMABLE | FLAG.REATTACH, attempt, false, 'agent-7']),
    )
    assert.deepEqual(new Set(world.opens.map(({ meta }) => String(meta.secret))).size, 1)
    assert.deepEqual(world.asked, [undefined, 'agent-7', 'agent-7', 'agent-7'])
    assert.equal(probe.closedWith, undefined)
  })

  test('says that it never had an answer, until it has one', () => {
    const world = create()
    world.answer = 'nothing'
    const probe = world.open()
    world.lose(probe)
    world.pair.run(200)
    world.lose(probe)
    world.answer = 'keep'
    world.pair.run(1_000)
    world.lose(probe)
    world.pair.run(1_000)
    assert.deepEqual(
      world.opens.map(({ meta }) => [meta.attempt, meta.fresh, meta.agent]),
      [
        [undefined, undefined, undefined],
        [1, true, undefined],
        [2, true, undefined],
        [3, false, 'agent-7'],
      ],
    )
  })

  test('tries at once, then after about 0.1 s, then later, and never more than 2 s later', () => {
    const world = create()
    const probe = world.open()
    world.answer = 'AGENT_OFFLINE'
    const lostAt = world.now()
    world.lose(probe)
    world.pair.run(20_000)
    const times = [lostAt, ...world.opens.slice(1).map(({ at }) => at)]
    const pauses = times.slice(1).map((at, index) => at - (times[index] ?? 0))
    assert.ok((pauses.shift() ?? 9) <= 1)
    assert.ok((pauses[0] ?? 0) >= 50 && (pauses[0] ?? 0) <= 101, `${pauses[0]}`)
    pauses.forEach((pause, index) => {
      const most = Math.min(2_000, 100 * 2 ** index)
      assert.ok(pause >= most / 2 - 1 && pause <= most + 1, `pause ${index}: ${pause}`)
    })
    assert.ok(pauses.length >= 10, `${pauses.length} tries in 20 s`)
  })

  test('goes on while there is no session, and tries at once when told of one, only for those it is meant for', () => {
    const world = create()
    const mine = world.open('mine')
    const other = world.open('other')
    world.down = new TunnelError('RELAY_UNREACHABLE')
    for (const probe of [mine, other]) world.lose(probe)
    world.pair.run(10_000)
    assert.equal(world.opens.length, 2)
    world.down = undefined
    world.resumption.tryNow((context) => context === 'mine')
    world.pair.run(1)
    assert.equal(world.opens.length, 3)
    assert.equal(world.resumption.waitingCount, 1)
    world.pair.run(2_100)
    assert.equal(world.resumption.waitingCount, 0)
    assert.deepEqual([mine.closedWith, other.closedWith], [undefined, undefined])
  })

  test('tries no stream twice at a time', () => {
    const world = create()
    const probe = world.open()
    world.lose(probe)
    world.answer = 'nothing'
    world.pair.run(100)
    world.resumption.tryNow(() => true)
    world.pair.run(5_000)
    assert.equal(world.opens.length, 2)
  })

  for (const isAsking of [false, true]) {
    test(`gives up when the grace is over, ${isAsking ? 'also while it asks, and takes the question back' : 'not before'}`, () => {
      const given: string[] = []
      const world = create({ onGivenUp: ({ resource }, { code }) => given.push(`${resource} ${code}`) })
      const probe = world.open()
      world.down = new TunnelError('RELAY_UNREACHABLE', 'nobody there')
      world.lose(probe)
      world.pair.run(GRACE_MS.default - 3_000)
      if (isAsking) world.down = undefined
      world.answer = 'nothing'
      world.pair.run(2_990)
      assert.equal(probe.closedWith, undefined)
      world.pair.run(20)
      assert.equal(probe.code, 'SESSION_LOST')
      assert.deepEqual(given, ['berlin/db SESSION_LOST'])
      assert.equal(world.resumption.waitingCount, 0)
      if (isAsking) assert.equal(world.pair.relay.peer(1).code, 'SESSION_LOST')
      else assert.equal(world.opens.length, 1)
      world.down = undefined
      const count = world.opens.length
      world.pair.run(10_000)
      assert.equal(world.opens.length, count)
    })
  }

  test('gives each loss a grace of its own', () => {
    const resumed: number[] = []
    const world = create({ onResumed: (_meta, attempts) => resumed.push(attempts) })
    const probe = world.open()
    for (let loss = 1; loss <= 3; loss++) {
      world.down = new TunnelError('RELAY_UNREACHABLE')
      world.lose(probe)
      world.pair.run(GRACE_MS.default - 2_500)
      world.down = undefined
      world.pair.run(2_400)
      assert.equal(resumed.length, loss)
    }
    assert.equal(probe.closedWith, undefined)
  })

  test('ends with its path what the far end does not keep', () => {
    const world = create()
    world.answer = 'mortal'
    const probe = world.open()
    world.lose(probe)
    assert.equal(probe.code, 'SESSION_LOST')
    world.pair.run(60_000)
    assert.equal(world.opens.length, 1)
    assert.equal(world.resumption.waitingCount, 0)
  })

  test('ends what the relay or the agent refuses for good', () => {
    for (const code of ['DENIED_BY_RELAY', 'DENIED_BY_SITE', 'GONE', 'TARGET_RESET'] as const) {
      const world = create()
      const probe = world.open()
      world.answer = code
      world.lose(probe)
      world.pair.run(200)
      assert.equal(probe.code, code)
      assert.equal(world.resumption.waitingCount, 0)
    }
  })

  test('takes OK for the end of a stream whose last CREDIT alone was lost', () => {
    const world = create()
    const probe = world.open()
    world.answer = 'OK'
    world.lose(probe)
    world.pair.run(200)
    assert.equal(probe.closedWith, null)
  })

  test('ends only what waits where no path will come, and everything where it ends itself', () => {
    const world = create()
    const [waiting, living] = [world.open(), world.open()]
    world.down = new TunnelError('RELAY_UNREACHABLE')
    world.lose(waiting)
    world.resumption.endWaiting(new TunnelError('REVOKED'))
    assert.deepEqual([waiting.code, living.closedWith], ['REVOKED', undefined])
    world.resumption.close(new TunnelError('CANCELLED'))
    world.pair.run(1)
    assert.equal(living.code, 'CANCELLED')
    assert.equal(world.pair.relay.peer(1).code, 'CANCELLED')
    assert.equal(world.pair.peer.session.streamCount, 0)
  })
})
