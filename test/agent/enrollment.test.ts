import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { createServer } from 'node:net'
import { join as joinPath } from 'node:path'
import { type TestContext, test } from 'node:test'
import { inspect } from 'node:util'
import { type JoinOptions, join } from '../../agent/enrollment.ts'
import { identityPath, readIdentity } from '../../agent/identity-store.ts'
import { readSettings } from '../../agent/settings.ts'
import { ensureServerCertificate } from '../../relay/authority/server-certificate.ts'
import { realEffects } from '../../shared/effects.ts'
import { formatJoinString, parseJoinString } from '../../shared/identity/join-string.ts'
import { fingerprint } from '../../shared/identity/keys.ts'
import { openTestAuthority } from '../relay/authority/authority-fixture.ts'
import { temporaryDirectory } from '../relay/store/store-fixture.ts'
import { listen, startRelay } from './relay-fixture.ts'

const OPTIONS: JoinOptions = {
  effects: realEffects,
  signal: new AbortController().signal,
  version: '0.1.0',
  instance: 'test',
}

/** A port of the loopback interface on which nothing listens any more. */
async function closedPort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

async function agentDirectory(t: TestContext): Promise<string> {
  return joinPath(await temporaryDirectory(t), 'agent')
}

test('an agent that joins has an identity that the relay knows, and both show the same fingerprint', async (t) => {
  const relay = await startRelay(t)
  const directory = await agentDirectory(t)
  const joined = await join(`${await relay.invite()}\n`, directory, OPTIONS)
  const stored = await relay.context.store.findAgent('default', joined.identity.agentId)
  assert.equal(stored?.fingerprint, joined.fingerprint)
  assert.equal(joined.caFingerprint, fingerprint(relay.context.authority.certificate))
  const read = await readIdentity(directory)
  assert.deepEqual(
    { ...read, key: read?.key.reveal() },
    { ...joined.identity, key: joined.identity.key.reveal() },
  )
  assert.equal(joined.identity.site, 'berlin')
  assert.equal((await stat(directory)).mode & 0o777, 0o700)
  assert.equal((await stat(identityPath(directory))).mode & 0o777, 0o600)
  assert.equal((await stat(joinPath(directory, 'settings.json'))).mode & 0o777, 0o600)
  assert.deepEqual(await readSettings(directory, joined.identity), {
    agentId: joined.identity.agentId,
    site: 'berlin',
    addresses: [relay.address],
    serverName: 'relay.test',
    sessions: 2,
    network: {},
  })
  assert.ok(!inspect(joined, { depth: 9 }).includes('PRIVATE KEY'))
})

test('a relay whose chain has no CA with the pinned hash gets no token', async (t) => {
  const relay = await startRelay(t)
  const invitation = parseJoinString(await relay.invite())
  const text = formatJoinString({ ...invitation, caPin: Buffer.alloc(32, 1) }).reveal()
  const directory = await agentDirectory(t)
  await assert.rejects(join(text, directory, OPTIONS), { code: 'RELAY_IDENTITY', message: /CN=Sallyport CA/ })
  assert.deepEqual(relay.requests, [])
  assert.equal(await readIdentity(directory), undefined)
})

test('an interceptor with a CA of his own gets no token and is named', async (t) => {
  const relay = await startRelay(t)
  const other = await openTestAuthority(t, { ...realEffects, moveTo: () => undefined })
  const forged = await ensureServerCertificate(
    other.directory,
    other.context.authority,
    ['relay.test'],
    realEffects,
  )
  const requests: string[] = []
  const address = await listen(t, { key: forged.key.reveal(), cert: forged.chain }, (request) => {
    requests.push(request.url ?? '')
  })
  await assert.rejects(join(await relay.invite({ addresses: [address] }), await agentDirectory(t), OPTIONS), {
    code: 'RELAY_IDENTITY',
    message: new RegExp(other.context.authority.certificate.subject),
  })
  assert.deepEqual(requests, [])
})

test('an interceptor who shows the true CA behind a certificate of his own gets no token', async (t) => {
  const relay = await startRelay(t)
  const other = await openTestAuthority(t, { ...realEffects, moveTo: () => undefined })
  const forged = await ensureServerCertificate(
    other.directory,
    other.context.authority,
    ['relay.test'],
    realEffects,
  )
  const leaf = new X509Certificate(forged.chain).toString()
  const trueCa = relay.context.authority.certificate.toString()
  const requests: string[] = []
  const address = await listen(t, { key: forged.key.reveal(), cert: leaf + trueCa }, (request) => {
    requests.push(request.url ?? '')
  })
  await assert.rejects(join(await relay.invite({ addresses: [address] }), await agentDirectory(t), OPTIONS), {
    code: 'RELAY_IDENTITY',
  })
  assert.deepEqual(requests, [])
})

test('a relay with the right CA but another name gets no token', async (t) => {
  const relay = await startRelay(t)
  const text = await relay.invite({ serverName: 'other.test' })
  await assert.rejects(join(text, await agentDirectory(t), OPTIONS), {
    code: 'RELAY_IDENTITY',
    message: /ALTNAME/,
  })
  assert.deepEqual(relay.requests, [])
})

test('a relay may be named by its address', async (t) => {
  const relay = await startRelay(t)
  const text = await relay.invite({ serverName: '127.0.0.1' })
  assert.equal((await join(text, await agentDirectory(t), OPTIONS)).identity.site, 'berlin')
})

test('a relay that speaks no TLS 1.3 is not reached', async (t) => {
  const relay = await startRelay(t)
  const server = await ensureServerCertificate(
    relay.directory,
    relay.context.authority,
    ['relay.test'],
    realEffects,
  )
  const old = { key: server.key.reveal(), cert: server.chain, maxVersion: 'TLSv1.2' } as const
  const address = await listen(t, old, () => assert.fail('a request'))
  const text = await relay.invite({ addresses: [address] })
  await assert.rejects(join(text, await agentDirectory(t), OPTIONS), { code: 'RELAY_UNREACHABLE' })
})

test('the second address is used where the first does not answer', async (t) => {
  const relay = await startRelay(t)
  const nobody = { host: '127.0.0.1', port: await closedPort() }
  const directory = await agentDirectory(t)
  await assert.rejects(join(await relay.invite({ addresses: [nobody] }), directory, OPTIONS), {
    code: 'RELAY_UNREACHABLE',
    message: /ECONNREFUSED/,
  })
  const text = await relay.invite({ addresses: [nobody, relay.address] })
  assert.equal((await join(text, directory, OPTIONS)).identity.site, 'berlin')
})

test('a join string works once, and the refusal of the relay arrives with its code', async (t) => {
  const relay = await startRelay(t)
  const text = await relay.invite()
  await join(text, await agentDirectory(t), OPTIONS)
  const directory = await agentDirectory(t)
  await assert.rejects(join(text, directory, OPTIONS), { code: 'JOIN_TOKEN' })
  assert.equal(await readIdentity(directory), undefined)
})

test('a directory with an identity keeps it, unless it is to be replaced', async (t) => {
  const relay = await startRelay(t)
  const directory = await agentDirectory(t)
  const first = await join(await relay.invite(), directory, OPTIONS)
  const text = await relay.invite()
  const before = relay.requests.length
  await assert.rejects(join(text, directory, OPTIONS), { code: 'CONFLICT' })
  assert.equal(relay.requests.length, before)
  const second = await join(text, directory, { ...OPTIONS, replace: true })
  assert.notEqual(second.identity.agentId, first.identity.agentId)
  assert.equal((await readIdentity(directory))?.agentId, second.identity.agentId)
})

test('a relay that never answers is given up when the signal says so', async (t) => {
  const relay = await startRelay(t)
  const server = await ensureServerCertificate(
    relay.directory,
    relay.context.authority,
    ['relay.test'],
    realEffects,
  )
  const controller = new AbortController()
  const address = await listen(t, { key: server.key.reveal(), cert: server.chain }, () => controller.abort())
  const text = await relay.invite({ addresses: [address] })
  const options = { ...OPTIONS, signal: controller.signal }
  await assert.rejects(join(text, await agentDirectory(t), options), { code: 'RELAY_UNREACHABLE' })
})

test('an answer that is not understood, or is for another key, makes no identity', async (t) => {
  const relay = await startRelay(t)
  const good = await join(await relay.invite(), await agentDirectory(t), OPTIONS)
  const server = await ensureServerCertificate(
    relay.directory,
    relay.context.authority,
    ['relay.test'],
    realEffects,
  )
  const { agentId, tenant, site, certificate, lifetimeMs, generation } = good.identity
  const foreign = {
    agentId,
    tenant,
    site,
    certificate,
    lifetimeMs,
    generation,
    fingerprint: good.fingerprint,
  }
  const answers = ['', '<html>', '{}', JSON.stringify(foreign), 'x'.repeat(40_000)]
  const directory = await agentDirectory(t)
  for (const text of answers) {
    const address = await listen(
      t,
      { key: server.key.reveal(), cert: server.chain },
      (_request, response) => {
        response.end(text)
      },
    )
    await assert.rejects(join(await relay.invite({ addresses: [address] }), directory, OPTIONS), {
      code: 'PROTOCOL',
    })
  }
  assert.equal(await readIdentity(directory), undefined)
})
