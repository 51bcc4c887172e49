import assert from 'node:assert/strict'
import { randomBytes, X509Certificate } from 'node:crypto'
import { test } from 'node:test'
import { enroll, renew } from '../../../relay/authority/enroll.ts'
import { identify } from '../../../relay/authority/identify.ts'
import { issueConnector } from '../../../relay/authority/invite.ts'
import { createCsr } from '../../../shared/identity/csr.ts'
import { fingerprint, generateKey, spkiHash } from '../../../shared/identity/keys.ts'
import { certificateSubject } from '../../../shared/identity/subject.ts'
import { actAt } from '../../support/acts.ts'
import {
  DAY,
  enrollBody,
  enrolledAgent,
  LOCATION,
  newToken,
  ORIGIN,
  openTestAuthority,
  renewBody,
} from './authority-fixture.ts'

test('an agent gets a client certificate for its key that says nothing but who it is', async (t) => {
  const { context, clock } = await openTestAuthority(t)
  const key = await generateKey()
  const body = { ...(await enrollBody(await newToken(context))), csr: await createCsr(key) }
  const answer = await enroll(context, body, ORIGIN)
  const certificate = new X509Certificate(answer.certificate)
  assert.equal(answer.site, 'berlin')
  assert.equal(answer.fingerprint, fingerprint(key))
  assert.deepEqual(spkiHash(certificate), spkiHash(key))
  assert.deepEqual(certificateSubject(certificate), {
    kind: 'agent',
    tenantId: 'default',
    id: answer.agentId,
  })
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.2'])
  assert.equal(certificate.ca, false)
  assert.equal(certificate.checkIssued(context.authority.certificate), true)
  assert.equal(certificate.verify(context.authority.certificate.publicKey), true)
  assert.equal(certificate.validFromDate.getTime(), clock.date() - 300_000)
  assert.equal(certificate.validToDate.getTime(), clock.date() + 7 * DAY)
  assert.equal(answer.lifetimeMs, 7 * DAY)
  assert.match(certificate.serialNumber, /^[4-7][0-9A-F]{31}$/)
  const stored = await context.store.findAgent('default', answer.agentId)
  assert.equal(stored?.sourceAddress, '192.0.2.1')
  assert.equal(stored?.serial, certificate.serialNumber.toLowerCase())
})

test('names that the request asks for are ignored', async (t) => {
  const { context } = await openTestAuthority(t)
  const x509 = await import('@peculiar/x509')
  const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' }
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: 'CN=root, O=other',
    keys: await crypto.subtle.generateKey(algorithm, false, ['sign', 'verify']),
    signingAlgorithm: algorithm,
    extensions: [
      new x509.BasicConstraintsExtension(true, 3, true),
      new x509.SubjectAlternativeNameExtension([{ type: 'dns', value: 'relay.test' }]),
    ],
  })
  const body = { ...(await enrollBody(await newToken(context))), csr: request.toString('pem') }
  const answer = await enroll(context, body, ORIGIN)
  const certificate = new X509Certificate(answer.certificate)
  assert.equal(certificate.ca, false)
  assert.equal(certificate.subject, `CN=${answer.agentId}`)
  assert.equal(certificate.subjectAltName, `URI:sallyport://default/agent/${answer.agentId}`)
})

test('of two uses of one token at the same time exactly one wins', async (t) => {
  const { context } = await openTestAuthority(t)
  const token = await newToken(context)
  const results = await Promise.allSettled([
    enroll(context, await enrollBody(token), ORIGIN),
    enroll(context, await enrollBody(token), ORIGIN),
  ])
  assert.deepEqual(results.map((result) => result.status).sort(), ['fulfilled', 'rejected'])
  const refused = results.find((result) => result.status === 'rejected')
  assert.equal(refused?.reason.code, 'JOIN_TOKEN')
  assert.equal((await context.store.listAgents('default')).length, 1)
})

test('a token that is unknown or 15 minutes old is refused', async (t) => {
  const { context, clock } = await openTestAuthority(t)
  const unknown = await enrollBody(randomBytes(32).toString('base64url'))
  await assert.rejects(enroll(context, unknown, ORIGIN), { code: 'JOIN_TOKEN' })
  const body = await enrollBody(await newToken(context))
  clock.moveTo(clock.date() + 15 * 60_000)
  await assert.rejects(enroll(context, body, ORIGIN), { code: 'JOIN_TOKEN' })
})

test('a request that cannot be right leaves the token as it is', async (t) => {
  const { context } = await openTestAuthority(t)
  const token = await newToken(context)
  const body = await enrollBody(token)
  for (const wrong of [undefined, null, [], 'x', {}, { ...body, more: 1 }, { ...body, token: 'x' }]) {
    await assert.rejects(enroll(context, wrong, ORIGIN), { code: 'HTTP_BAD_REQUEST' })
  }
  await assert.rejects(enroll(context, { ...body, csr: 'x'.repeat(5000) }, ORIGIN), {
    code: 'HTTP_BAD_REQUEST',
  })
  await assert.rejects(enroll(context, { ...body, csr: 'x' }, ORIGIN), { code: 'IDENTITY' })
  assert.equal((await enroll(context, body, ORIGIN)).site, 'berlin')
})

test('an error about a request does not repeat the token', async (t) => {
  const { context } = await openTestAuthority(t)
  const token = `${await newToken(context)}x`
  await assert.rejects(enroll(context, await enrollBody(token), ORIGIN), (err: Error) => {
    return err.message.includes('token') && !err.message.includes(token)
  })
})

test('an agent is known by its certificate', async (t) => {
  const { context, clock } = await openTestAuthority(t)
  const { answer, certificate } = await enrolledAgent(context)
  assert.deepEqual(await identify(context, certificate, true), {
    kind: 'agent',
    tenantId: 'default',
    environment: 'production',
    id: answer.agentId,
    site: 'berlin',
    generation: 1,
    serial: certificate.serialNumber.toLowerCase(),
    notAfter: clock.date() + 7 * DAY,
  })
})

test('S12: a certificate is worth nothing when TLS does not trust it, is missing or over', async (t) => {
  const { context, clock } = await openTestAuthority(t)
  const { certificate } = await enrolledAgent(context)
  await assert.rejects(identify(context, certificate, false), { code: 'IDENTITY' })
  await assert.rejects(identify(context, undefined, true), { code: 'IDENTITY' })
  await assert.rejects(identify(context, context.authority.certificate, true), { code: 'IDENTITY' })
  clock.moveTo(clock.date() + 7 * DAY)
  await assert.rejects(identify(context, certificate, true), { code: 'EXPIRED' })
  await assert.rejects(identify(context, certificate, false), { code: 'EXPIRED' })
})

test('an agent of another relay is unknown even where TLS trusted it', async (t) => {
  const one = await openTestAuthority(t)
  const two = await openTestAuthority(t)
  const { certificate } = await enrolledAgent(one.context)
  await assert.rejects(identify(two.context, certificate, true), { code: 'IDENTITY' })
})

test('a revoked agent is neither known nor renewed', async (t) => {
  const { context } = await openTestAuthority(t)
  const { answer, certificate } = await enrolledAgent(context)
  await context.store.revokeAgent('default', answer.agentId, actAt())
  await assert.rejects(identify(context, certificate, true), { code: 'REVOKED' })
  const peer = { certificate, authorized: true }
  await assert.rejects(renew(context, await renewBody(), peer, ORIGIN), { code: 'REVOKED' })
})

test('S14: after a renewal the old certificate counts until the new one is used, then no more', async (t) => {
  const { context } = await openTestAuthority(t)
  const { certificate } = await enrolledAgent(context)
  const old = { certificate, authorized: true }
  const answer = await renew(context, await renewBody(), old, ORIGIN)
  assert.equal(answer.generation, 2)
  const fresh = new X509Certificate(answer.certificate)
  assert.equal((await identify(context, certificate, true)).kind, 'agent')
  assert.equal((await identify(context, fresh, true)).kind, 'agent')
  await assert.rejects(identify(context, certificate, true), { code: 'IDENTITY', message: /copy/ })
  await assert.rejects(renew(context, await renewBody(), old, ORIGIN), { code: 'IDENTITY' })
})

test('an answer that was lost is asked for again, and the lost certificate is void', async (t) => {
  const { context } = await openTestAuthority(t)
  const { certificate } = await enrolledAgent(context)
  const old = { certificate, authorized: true }
  const lost = new X509Certificate((await renew(context, await renewBody(), old, ORIGIN)).certificate)
  const answer = await renew(context, await renewBody(), old, ORIGIN)
  assert.equal(answer.generation, 3)
  await assert.rejects(identify(context, lost, true), { code: 'IDENTITY' })
  assert.equal((await identify(context, new X509Certificate(answer.certificate), true)).kind, 'agent')
})

test('a renewal needs a fresh key and a certificate of ours', async (t) => {
  const { context } = await openTestAuthority(t)
  const key = await generateKey()
  const body = { ...(await enrollBody(await newToken(context))), csr: await createCsr(key) }
  const certificate = new X509Certificate((await enroll(context, body, ORIGIN)).certificate)
  const same = { ...(await renewBody()), csr: await createCsr(key) }
  await assert.rejects(renew(context, same, { certificate, authorized: true }, ORIGIN), { code: 'IDENTITY' })
  await assert.rejects(renew(context, {}, { certificate, authorized: true }, ORIGIN), {
    code: 'HTTP_BAD_REQUEST',
  })
  await assert.rejects(renew(context, await renewBody(), { certificate, authorized: false }, ORIGIN), {
    code: 'IDENTITY',
  })
})

test('S14: a connector renews as an agent does, and its certificate before counts until the next is used', async (t) => {
  const { context } = await openTestAuthority(t)
  const options = { ...LOCATION, name: 'app', grants: [] }
  const { credentials } = await issueConnector(context, 'default', options, actAt())
  const first = { certificate: new X509Certificate(credentials.certificate), authorized: true }
  const lost = await renew(context, await renewBody(), first, ORIGIN)
  const { certificate, generation, lifetimeMs } = await renew(context, await renewBody(), first, ORIGIN)
  assert.deepEqual([lost.generation, generation, lifetimeMs > 89 * 86_400_000], [2, 3, true])
  const next = new X509Certificate(certificate)
  const generationOf = async (one: X509Certificate) => {
    const principal = await identify(context, one, true, ORIGIN.sourceAddress)
    return principal.generation
  }
  await assert.rejects(generationOf(new X509Certificate(lost.certificate)), { code: 'IDENTITY' })
  assert.equal(await generationOf(first.certificate), 2, 'one below that of the newest')
  assert.equal(await generationOf(next), 3)
  await assert.rejects(generationOf(first.certificate), { code: 'IDENTITY' })
  await assert.rejects(renew(context, await renewBody(), first, ORIGIN), { code: 'IDENTITY' })
})

test('of two renewals at the same time the store takes both in turn, and only the last counts', async (t) => {
  const { context } = await openTestAuthority(t)
  const { certificate } = await enrolledAgent(context)
  const peer = { certificate, authorized: true }
  const answers = await Promise.all([
    renew(context, await renewBody(), peer, ORIGIN),
    renew(context, await renewBody(), peer, ORIGIN),
  ])
  const [last, other] = answers.sort((a, b) => b.generation - a.generation)
  assert.equal((await identify(context, new X509Certificate(last?.certificate ?? ''), true)).kind, 'agent')
  await assert.rejects(identify(context, new X509Certificate(other?.certificate ?? ''), true), {
    code: 'IDENTITY',
  })
})

test('a connector is known until it is revoked, and may open what it was granted', async (t) => {
  const { context } = await openTestAuthority(t)
  const grants = [{ site: 'berlin', resource: 'db' }]
  const issued = await issueConnector(context, 'default', { ...LOCATION, name: 'app', grants }, actAt())
  const certificate = new X509Certificate(issued.credentials.certificate)
  const principal = await identify(context, certificate, true)
  assert.equal(principal.kind === 'connector' && principal.name, 'app')
  assert.deepEqual(await context.store.listGrants('default', issued.id), [
    { connectorId: issued.id, site: 'berlin', resource: 'db' },
  ])
  await context.store.revokeConnector('default', issued.id, actAt())
  await assert.rejects(identify(context, certificate, true), { code: 'REVOKED' })
})

test('a connector with a name that is taken or a grant that is none is refused', async (t) => {
  const { context } = await openTestAuthority(t)
  await issueConnector(context, 'default', { ...LOCATION, name: 'app', grants: [] }, actAt())
  await assert.rejects(
    issueConnector(context, 'default', { ...LOCATION, name: 'app', grants: [] }, actAt()),
    {
      code: 'CONFLICT',
    },
  )
  const grants = [{ site: 'berlin', resource: '*' }]
  await assert.rejects(issueConnector(context, 'default', { ...LOCATION, name: 'b', grants }, actAt()), {
    code: 'CONFIG',
  })
  await assert.rejects(
    issueConnector(context, 'default', { ...LOCATION, addresses: [], name: 'b', grants: [] }, actAt()),
    {
      code: 'CONFIG',
    },
  )
})
