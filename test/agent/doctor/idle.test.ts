import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { intervalFor, readIdle } from '../../../agent/doctor/check-idle.ts'
import {
  conclude,
  type HeldConnection,
  IDLE_FULL_SECONDS,
  type IdleEnd,
  measureIdle,
  rungsUpTo,
} from '../../../agent/doctor/idle.ts'
import { PING_INTERVAL_MIN_MS, PING_INTERVAL_MS } from '../../../shared/tunnel/liveness.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const AS_JOINED = { isStranger: false, isStored: true }

/** A path that cuts every connection after so much silence, and how many connections there were. */
function startPath(options: { cutMs?: number; how?: IdleEnd | 'silent' }) {
  const effects = new FakeEffects()
  const stop = new AbortController()
  let closed = 0
  let opened = 0
  const { cutMs = Number.POSITIVE_INFINITY, how = 'silent' } = options
  const open = async (): Promise<HeldConnection> => {
    opened++
    const began = effects.now()
    const { promise, resolve } = Promise.withResolvers<IdleEnd>()
    if (how !== 'silent' && Number.isFinite(cutMs)) effects.after(cutMs, () => resolve(how))
    return {
      ended: promise,
      ask: async () => effects.now() - began < cutMs,
      close: () => closed++,
    }
  }
  const measure = (seconds: number) => measureIdle(rungsUpTo(seconds), { open, effects, signal: stop.signal })
  return { effects, stop, measure, counts: () => ({ opened, closed }) }
}

describe('the silence that a path bears', () => {
  it('is tried on all connections at once, none of them twice, and at most sixteen', () => {
    assert.deepEqual(rungsUpTo(12), [5, 10, 12])
    assert.ok(rungsUpTo(3_600).length <= 16)
    assert.equal(rungsUpTo(IDLE_FULL_SECONDS).at(-1), IDLE_FULL_SECONDS)
  })

  it('is all that was tried where nothing cuts', async () => {
    const { effects, measure, counts } = startPath({})
    const measured = measure(60)
    await effects.elapse(60_000)
    const result = await measured
    assert.equal(result.heldMs, 60_000)
    assert.equal(result.cut, undefined)
    assert.deepEqual(counts(), { opened: rungsUpTo(60).length, closed: rungsUpTo(60).length })
  })

  it('lies between two rungs where the path forgets without a word, and longer ones are not waited for', async () => {
    const { effects, measure } = startPath({ cutMs: 27_000, how: 'silent' })
    const measured = measure(IDLE_FULL_SECONDS)
    await effects.elapse(31_000)
    const result = await measured
    assert.equal(result.heldMs, 25_000)
    assert.deepEqual(result.cut, { ms: 30_000, how: 'silent' })
  })

  it('is known to the moment where the path says so', async () => {
    const { effects, measure } = startPath({ cutMs: 27_000, how: 'reset' })
    const measured = measure(60)
    await effects.elapse(31_000)
    assert.deepEqual((await measured).cut, { ms: 27_000, how: 'reset' })
  })

  it('stays unknown where it is given up, and every connection is let go', async () => {
    const { effects, stop, measure, counts } = startPath({})
    const measured = measure(60)
    await effects.elapse(7_000)
    stop.abort(new Error('enough'))
    await assert.rejects(measured, /enough/)
    assert.equal(counts().closed, counts().opened)
  })

  it('decides how often the agent asks: only a path that cuts sooner than the default needs more', () => {
    const cut = (ms: number, heldMs: number) => ({ rungs: [], heldMs, cut: { ms, how: 'silent' as const } })
    assert.equal(intervalFor({ rungs: [], heldMs: 10_000 }), 'unchanged')
    assert.equal(intervalFor({ rungs: [], heldMs: 60_000 }), undefined)
    assert.equal(intervalFor(cut(30_000, 25_000)), undefined)
    const sooner = intervalFor(cut(15_000, 10_000))
    assert.ok(typeof sooner === 'number' && sooner * 1.2 < 10_000, `${sooner}`)
    assert.equal(intervalFor(cut(5_000, 0)), PING_INTERVAL_MIN_MS)
    assert.ok(
      (intervalFor({ rungs: [], heldMs: 10_000, cut: { ms: 14_000, how: 'reset' } }) as number) <
        PING_INTERVAL_MS / 2,
    )
  })

  it('is told with what the agent does about it', () => {
    const text = (result: Parameters<typeof readIdle>[0]) =>
      readIdle(result, AS_JOINED)
        .map(({ verdict, text: said }) => `${verdict} ${said}`)
        .join('\n')
    assert.match(text({ rungs: [], heldMs: 10_000 }), /^OK .*10 s at least; for longer silences: --idle full/)
    assert.match(
      text({ rungs: [], heldMs: 60_000, cut: { ms: 90_000, how: 'silent' } }),
      /^OK .*after 60 s to 90 s, without a word/,
    )
    assert.match(
      text({ rungs: [], heldMs: 10_000, cut: { ms: 12_000, how: 'reset' } }),
      /^WARN .*after 12 s, with a reset; .*settings\.json/,
    )
    const refused = conclude([{ seconds: 5, outcome: 'refused', endedMs: 10 }])
    assert.match(text(refused), /^SKIPPED/)
  })
})
