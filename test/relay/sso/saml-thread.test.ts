import assert from 'node:assert/strict'
import { before, test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { SamlJob } from '../../../relay/sso/saml-message.ts'
import { SAML_THREAD_LIMITS, SamlThread } from '../../../relay/sso/saml-thread.ts'
import { isTunnelError } from '../../../shared/errors.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { makeSigner } from './saml-kit.ts'

const ENTITY = 'https://idp.example/idp'
const OWN = 'https://relay.example/metadata'
const ACS = 'https://relay.example/acs'

let certificate: string
let good: string
let slow: string

before(async () => {
  const [signer, other] = await Promise.all([makeSigner(), makeSigner()])
  certificate = signer.certificate
  const statement = { entityId: ENTITY, audience: OWN, recipient: ACS, inResponseTo: '_1', subject: 'eve' }
  good = signer.respond(statement)
  // Within every limit: as deep, as many elements and as many attributes as may be, each with a name space of its own.
  const attributes = Array.from({ length: 2 }, (_, index) => ` xmlns:n${index}="urn:${index}"`).join('')
  const nest = `${`<n0:a${attributes}>`.repeat(14)}${'</n0:a>'.repeat(14)}`
  slow = other.respond({ ...statement, inner: nest.repeat(60) })
})

function job(message: string, certificates = [certificate]): SamlJob {
  const setup = {
    idpCert: certificates,
    idpIssuer: ENTITY,
    issuer: OWN,
    audience: OWN,
    callbackUrl: ACS,
    wantAuthnResponseSigned: false,
  }
  return { kind: 'response', message, setup, awaited: { id: '_1', begunAt: Date.now() } }
}

const refused = (code: string, pattern: RegExp) => (error: unknown) =>
  isTunnelError(error) && error.code === code && pattern.test(error.detail)

/** A thread that has started, and its clock. */
async function started() {
  const effects = new FakeEffects()
  const thread = new SamlThread(effects)
  assert.equal((await thread.read(job(good))).kind, 'read')
  return { effects, thread, [Symbol.dispose]: () => thread.stop() }
}

test('what is signed comes out of the thread', async () => {
  using own = await started()
  const answer = await own.thread.read(job(good))
  assert.ok(answer.kind === 'read')
  assert.equal(answer.said?.nameId, 'eve')
})

test('the worst message that fits the limits is refused, and the loop of this thread goes on meanwhile', async () => {
  using own = await started()
  const reading = own.thread.read(job(slow, Array(5).fill(certificate)))
  let turns = 0
  let isOver = false
  void reading.finally(() => {
    isOver = true
  })
  for (; !isOver; turns++) await setImmediate()
  const answer = await reading
  assert.ok(answer.kind === 'refused')
  assert.match(answer.why, /signature/)
  assert.ok(turns > 100, `${turns} turns`)
})

test('a message that takes too long is refused, its thread is ended, and the next one is read by another', async () => {
  using own = await started()
  const reading = own.thread.read(job(slow))
  const next = own.thread.read(job(good))
  own.effects.advance(SAML_THREAD_LIMITS.messageMs)
  await assert.rejects(reading, refused('SIGN_ON', /too long/))
  assert.equal((await next).kind, 'read')
})

test('what waits is bounded in number and in time', async () => {
  using own = await started()
  const first = own.thread.read(job(slow))
  const waiting = Array.from({ length: SAML_THREAD_LIMITS.waiting }, () => own.thread.read(job(good)))
  const all = Promise.allSettled([first, ...waiting])
  await assert.rejects(own.thread.read(job(good)), refused('OVERLOADED', /at once/))
  own.effects.advance(SAML_THREAD_LIMITS.waitMs)
  const outcomes = (await all).map((one) =>
    one.status === 'rejected' ? (one.reason as { code: string }).code : '',
  )
  assert.deepEqual(outcomes, ['SIGN_ON', ...Array(SAML_THREAD_LIMITS.waiting).fill('OVERLOADED')])
})

test('a thread that is stopped leaves nobody waiting', async () => {
  using own = await started()
  const all = Promise.allSettled([own.thread.read(job(slow)), own.thread.read(job(good))])
  own.thread.stop()
  const outcomes = (await all).map((one) =>
    one.status === 'rejected' ? (one.reason as { code: string }).code : '',
  )
  assert.deepEqual(outcomes, ['CANCELLED', 'CANCELLED'])
})
