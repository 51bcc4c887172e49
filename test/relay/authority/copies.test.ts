import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { describe, it, test } from 'node:test'
import { Copies, type Copy } from '../../../relay/authority/copies.ts'
import { renew } from '../../../relay/authority/enroll.ts'
import { identify } from '../../../relay/authority/identify.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { enrolledAgent, ORIGIN, openTestAuthority, renewBody } from './authority-fixture.ts'

const AGENT = { tenantId: 'default', environment: 'production', site: 'berlin', id: 'a1' }
const A = { instance: 'A', sourceAddress: '192.0.2.1' }
const B = { instance: 'B', sourceAddress: '198.51.100.9' }
const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

function watched() {
  const effects = new FakeEffects()
  const copies = new Copies(effects)
  const told: Copy[] = []
  copies.onFound((copy) => told.push(copy))
  return { effects, copies, told }
}

describe('S14: two processes with one identity', () => {
  it('show when the one that made room comes back', () => {
    const { effects, copies, told } = watched()
    copies.replaced(AGENT, A, B)
    effects.advance(30_000)
    assert.deepEqual(copies.list(), [], 'it may have been started anew')
    copies.replaced(AGENT, B, A)
    assert.deepEqual(told, copies.list())
    const [copy] = told
    const { sign, sources } = copy ?? {}
    assert.deepEqual({ sign, sources }, { sign: 'process', sources: [B.sourceAddress, A.sourceAddress] })
    assert.equal(copy?.since, effects.date())
  })

  it('do not show in starts and starts again, however many', () => {
    const { effects, copies } = watched()
    for (let run = 0; run < 100; run++) {
      const [old, next] = [run, run + 1].map((instance) => ({ ...A, instance: `${instance}` }))
      assert.ok(old !== undefined && next !== undefined)
      // Two sessions make room, and one that was on its way comes late.
      copies.replaced(AGENT, old, next)
      copies.replaced(AGENT, old, next)
      effects.advance(10_000)
      copies.replaced(AGENT, next, old)
      copies.replaced(AGENT, old, next)
      effects.advance(20_000)
    }
    assert.deepEqual(copies.list(), [])
  })

  it('are told of once in ten minutes, and shown for a day after the last sign', () => {
    const { effects, copies, told } = watched()
    const fight = (minutes: number) => {
      for (let minute = 0; minute < minutes; minute++) {
        copies.replaced(AGENT, minute % 2 === 0 ? A : B, minute % 2 === 0 ? B : A)
        effects.advance(MINUTE)
      }
    }
    fight(9)
    assert.equal(told.length, 1)
    fight(20)
    assert.equal(told.length, 3)
    effects.advance(DAY - 2 * MINUTE)
    assert.equal(copies.list().length, 1)
    effects.advance(3 * MINUTE)
    assert.deepEqual(copies.list(), [])
  })

  it('are remembered within limits', () => {
    const { effects, copies, told } = watched()
    for (let agent = 0; agent < 12_000; agent++) copies.replaced({ ...AGENT, id: `${agent}` }, A, B)
    effects.advance(MINUTE)
    for (let agent = 0; agent < 12_000; agent++) copies.replaced({ ...AGENT, id: `${agent}` }, B, A)
    assert.ok(told.length <= 10_000, `${told.length}`)
    for (let run = 0; run < 1_000; run++) copies.replaced(AGENT, { ...A, instance: `${run}` }, B)
  })
})

test('S14: a certificate that was replaced shows a copy, but not what was on its way while it was', async (t) => {
  const { context, clock } = await openTestAuthority(t)
  const { answer, certificate } = await enrolledAgent(context)
  clock.moveTo(clock.date() + DAY)
  const old = { certificate, authorized: true }
  const fresh = new X509Certificate((await renew(context, await renewBody(), old, ORIGIN)).certificate)
  await identify(context, fresh, true)
  const present = () => identify(context, certificate, true, '198.51.100.9')
  clock.moveTo(clock.date() + MINUTE)
  await assert.rejects(present(), { code: 'IDENTITY' })
  assert.deepEqual(context.copies.list(), [])
  clock.moveTo(clock.date() + MINUTE)
  await assert.rejects(renew(context, await renewBody(), old, ORIGIN), { code: 'IDENTITY' })
  await assert.rejects(present(), { code: 'IDENTITY' })
  const [copy, ...more] = context.copies.list()
  assert.deepEqual(more, [])
  assert.deepEqual(copy, {
    agent: { ...AGENT, id: answer.agentId },
    sign: 'certificate',
    sources: [ORIGIN.sourceAddress, '198.51.100.9'],
    since: clock.date(),
    last: clock.date(),
  })
})

test('S14: a certificate of after a backup shows no copy where the relay was put back to before', () => {
  const { copies } = watched()
  const current = { notAfter: DAY, renewedAt: 0 }
  copies.stale(AGENT, { notAfter: 2 * DAY, source: A.sourceAddress, current })
  assert.deepEqual(copies.list(), [])
  copies.stale(AGENT, { notAfter: DAY - 1, source: A.sourceAddress, current })
  assert.equal(copies.list().length, 1)
})
