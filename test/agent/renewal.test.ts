import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { join as joinPath } from 'node:path'
import { type TestContext, test } from 'node:test'
import { join } from '../../agent/enrollment.ts'
import { type AgentIdentity, readIdentity } from '../../agent/identity-store.ts'
import { keepRenewed, type RenewOptions, renewOnce, spentLife } from '../../agent/renewal.ts'
import { identify } from '../../relay/authority/identify.ts'
import { type Effects, realEffects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { renewalTime, retryDelay } from '../../shared/identity/renewal-time.ts'
import { Secret } from '../../shared/secret.ts'
import { temporaryDirectory } from '../relay/store/store-fixture.ts'
import { actAt } from '../support/acts.ts'
import { startRelay, type TestRelay } from './relay-fixture.ts'

const DAY = 86_400_000
const MINUTE = 60_000

test('renewal is due at two thirds of the lifetime, give or take a tenth', () => {
  assert.equal(renewalTime(1_000, 30 * MINUTE, 1_000, 0.5), 1_000 + 20 * MINUTE)
  assert.equal(renewalTime(0, 30 * MINUTE, 0, 0), 17 * MINUTE)
  assert.ok(renewalTime(0, 30 * MINUTE, 0, 0.999_999) <= 23 * MINUTE)
})

test('a clock that was set back does not put renewal off beyond the lifetime', () => {
  assert.equal(renewalTime(400 * DAY, 3 * DAY, 10 * DAY, 0.5), 12 * DAY)
})

test('attempts come a minute to an hour apart, and closer where the lifetime is short', () => {
  const week = [1, 2, 3, 7, 50].map((failures) => retryDelay(failures, 7 * DAY, 1))
  assert.deepEqual(week, [MINUTE, 2 * MINUTE, 4 * MINUTE, 60 * MINUTE, 60 * MINUTE])
  const short = [1, 2, 3, 4, 50].map((failures) => retryDelay(failures, 2 * MINUTE, 1))
  assert.deepEqual(short, [2_000, 4_000, 8_000, 10_000, 10_000])
  assert.equal(retryDelay(1, 7 * DAY, 0), MINUTE / 2)
})

const IDENTITY: AgentIdentity = {
  agentId: 'a'.repeat(26),
  tenant: 'default',
  site: 'berlin',
  generation: 1,
  addresses: [],
  serverName: 'relay.test',
  ca: '',
  certificate: '',
  key: new Secret(''),
  obtainedAt: 0,
  lifetimeMs: 30 * MINUTE,
}

/** A clock that moves when somebody sleeps on it, and stops everything at `end`. */
function sleepingClock(end: number): { effects: Effects; signal: AbortSignal; sleeps: number[] } {
  let date = 0
  const controller = new AbortController()
  const sleeps: number[] = []
  const effects: Effects = {
    ...realEffects,
    date: () => date,
    random: () => 0.5,
    sleep: async (ms, signal) => {
      sleeps.push(ms)
      date += ms
      if (date >= end) controller.abort(new Error('end of the test'))
      signal.throwIfAborted()
    },
  }
  return { effects, signal: controller.signal, sleeps }
}

const unused = { directory: '', addresses: [], version: '0.1.0', instance: 'test' }

test('an agent renews again and again, each time at two thirds, and looks at the clock every minute', async () => {
  const { effects, signal, sleeps } = sleepingClock(65 * MINUTE)
  const times: number[] = []
  const renew = async (identity: AgentIdentity) => ({
    ...identity,
    generation: identity.generation + 1,
    obtainedAt: effects.date(),
  })
  const onRenewed = () => times.push(effects.date() / MINUTE)
  const options = { ...unused, effects, signal, renew, onRenewed, onFailure: () => assert.fail('failed') }
  await assert.rejects(keepRenewed(IDENTITY, options), { message: 'end of the test' })
  assert.deepEqual(times, [20, 40, 60])
  assert.ok(sleeps.every((ms) => ms <= MINUTE))
})

test('an agent that cannot reach its relay tries again and tells how much life is over', async () => {
  const { effects, signal } = sleepingClock(29 * MINUTE)
  const failures: number[] = []
  const renew = () => Promise.reject(new TunnelError('RELAY_UNREACHABLE'))
  const onFailure = (_err: unknown, spent: number) => failures.push(spent)
  const options = { ...unused, effects, signal, renew, onRenewed: () => assert.fail('renewed'), onFailure }
  await assert.rejects(keepRenewed(IDENTITY, options), { message: 'end of the test' })
  assert.ok(failures.length >= 5, String(failures.length))
  assert.ok(Math.abs((failures[0] ?? 0) - 2 / 3) < 0.001)
  assert.ok((failures.at(-1) ?? 0) > 0.9)
})

test('an agent that is refused for good stops asking', async () => {
  for (const code of ['REVOKED', 'IDENTITY', 'EXPIRED'] as const) {
    const { effects, signal } = sleepingClock(DAY)
    const renew = () => Promise.reject(new TunnelError(code))
    const never = () => assert.fail('called')
    const options = { ...unused, effects, signal, renew, onRenewed: never, onFailure: never }
    await assert.rejects(keepRenewed(IDENTITY, options), { code })
  }
})

test('the share of life that is over goes from 0 to 1', () => {
  assert.deepEqual(
    [-5, 0, 15 * MINUTE, 60 * MINUTE].map((now) => spentLife(IDENTITY, now)),
    [0, 0, 0.5, 1],
  )
})

async function joinedAgent(
  t: TestContext,
): Promise<{ relay: TestRelay; options: RenewOptions; identity: AgentIdentity }> {
  const relay = await startRelay(t)
  const directory = joinPath(await temporaryDirectory(t), 'agent')
  const common = {
    effects: realEffects,
    signal: new AbortController().signal,
    version: '0.1.0',
    instance: 'test',
  }
  const { identity } = await join(await relay.invite(), directory, common)
  return { relay, identity, options: { ...common, directory, addresses: [relay.renewAddress] } }
}

test('a renewal gives the same agent a fresh key, which is stored before it is handed out', async (t) => {
  const { relay, identity, options } = await joinedAgent(t)
  const next = await renewOnce(identity, options)
  assert.equal(next.agentId, identity.agentId)
  assert.equal(next.generation, 2)
  assert.notEqual(next.key.reveal(), identity.key.reveal())
  assert.equal((await readIdentity(options.directory))?.certificate, next.certificate)
  const principal = await identify(relay.context, new X509Certificate(next.certificate), true)
  assert.equal(principal.id, identity.agentId)
  assert.equal((await renewOnce(next, options)).generation, 3)
})

test('once the new certificate was used, a copy of the old one is refused', async (t) => {
  const { identity, options } = await joinedAgent(t)
  const next = await renewOnce(identity, options)
  await renewOnce(next, options)
  await assert.rejects(renewOnce(identity, options), { code: 'IDENTITY', message: /copy/ })
})

test('a revoked agent is told so, and keeps what it has', async (t) => {
  const { relay, identity, options } = await joinedAgent(t)
  await relay.context.store.revokeAgent('default', identity.agentId, actAt())
  await assert.rejects(renewOnce(identity, options), { code: 'REVOKED' })
  assert.equal((await readIdentity(options.directory))?.generation, 1)
})

test('a renewal does not trust another relay', async (t) => {
  const { identity, options } = await joinedAgent(t)
  const other = await startRelay(t)
  await assert.rejects(renewOnce(identity, { ...options, addresses: [other.renewAddress] }), {
    code: 'RELAY_IDENTITY',
  })
})
