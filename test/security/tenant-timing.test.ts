import assert from 'node:assert/strict'
import { createPublicKey, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { issueClientCertificate } from '../../relay/authority/client-certificate.ts'
import { identify } from '../../relay/authority/identify.ts'
import { generateKey } from '../../shared/identity/keys.ts'
import { formatId } from '../../shared/identity/subject.ts'
import { openTestAuthority } from '../relay/authority/authority-fixture.ts'
import { hashOf, newAgent } from '../relay/store/store-fixture.ts'
import { actAt } from '../support/acts.ts'

const ROUNDS = 600

/** Medians may differ by so much, in parts of the smaller: the noise of a machine that does other things too. */
const TOLERANCE = 0.25

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0
}

test("an id of another tenant takes as long as a random one, in the store and at the relay's door", async (t) => {
  const { context } = await openTestAuthority(t)
  const { store, authority, effects } = context
  for (const tenant of ['asks', 'has']) await store.relay.addTenant(tenant, actAt())
  const now = effects.date()
  const known: string[] = []
  for (let i = 0; i < 100; i++) {
    const id = formatId(effects.randomBytes(16))
    known.push(id)
    const token = { tokenHash: hashOf(id), environment: 'production', site: 'berlin', expiresAt: now + 1e6 }
    await store.createJoinToken('has', token, actAt(now))
    await store.enrollAgent('has', hashOf(id), newAgent(id, { createdAt: now }), actAt(now))
  }
  const key = createPublicKey(await generateKey())
  const certificateFor = async (id: string) => {
    const subject = { kind: 'agent', tenantId: 'asks', id } as const
    return new X509Certificate((await issueClientCertificate(authority, key, subject, 600_000, effects)).pem)
  }
  const ofOther = await certificateFor(known[0] ?? '')
  const ofNobody = await certificateFor(formatId(effects.randomBytes(16)))
  const random = Array.from({ length: 100 }, () => formatId(effects.randomBytes(16)))
  const timeOf = async (work: () => Promise<unknown>) => {
    const start = performance.now()
    await work().catch(() => undefined)
    return performance.now() - start
  }
  const pairs = {
    findAgent: [
      (i: number) => store.findAgent('asks', known[i % 100] ?? ''),
      (i: number) => store.findAgent('asks', random[i % 100] ?? ''),
    ],
    revokeAgent: [
      (i: number) => store.revokeAgent('asks', known[i % 100] ?? '', actAt()),
      (i: number) => store.revokeAgent('asks', random[i % 100] ?? '', actAt()),
    ],
    identify: [() => identify(context, ofOther, true), () => identify(context, ofNobody, true)],
  } as const
  for (const [name, [other, nobody]] of Object.entries(pairs)) {
    const [others, nobodies]: [number[], number[]] = [[], []]
    // In turns, so that what else happens on the machine happens to both.
    for (let i = 0; i < ROUNDS; i++) {
      others.push(await timeOf(() => other(i)))
      nobodies.push(await timeOf(() => nobody(i)))
    }
    const [a, b] = [median(others), median(nobodies)]
    t.diagnostic(`${name}: ${(a * 1_000).toFixed(1)} and ${(b * 1_000).toFixed(1)} us`)
    assert.ok(Math.abs(a - b) <= Math.min(a, b) * TOLERANCE, `${name}: ${a} and ${b} ms`)
  }
})
