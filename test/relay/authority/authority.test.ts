import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { openAuthority } from '../../../relay/authority/authority.ts'
import { createJoinString } from '../../../relay/authority/invite.ts'
import { ensureServerCertificate } from '../../../relay/authority/server-certificate.ts'
import { fingerprint } from '../../../shared/identity/keys.ts'
import { actAt } from '../../support/acts.ts'
import { DAY, LOCATION, openTestAuthority, testClock } from './authority-fixture.ts'

test('the first run makes a private CA for ten years, the second finds it', async (t) => {
  const { context, directory, clock } = await openTestAuthority(t)
  const { certificate } = context.authority
  assert.equal(certificate.ca, true)
  assert.equal(certificate.validToDate.getTime(), clock.date() + 3650 * DAY)
  assert.equal((await stat(join(directory, 'ca'))).mode & 0o777, 0o700)
  assert.equal((await stat(join(directory, 'ca', 'ca.pem'))).mode & 0o777, 0o600)
  const again = await openAuthority({ directory, effects: clock })
  await again.store[Symbol.asyncDispose]()
  assert.equal(fingerprint(again.authority.certificate), fingerprint(certificate))
})

test('a CA without its store is a loss, not a first run', async (t) => {
  const { directory, clock } = await openTestAuthority(t)
  await rm(join(directory, 'relay.db'))
  await assert.rejects(openAuthority({ directory, effects: clock }), {
    code: 'STORE',
    message: /relay.db is missing/,
  })
  await assert.rejects(stat(join(directory, 'relay.db')), { code: 'ENOENT' })
})

test('a store in use without its CA is a loss, not a first run', async (t) => {
  const { context, directory, clock } = await openTestAuthority(t)
  await createJoinString(context, 'default', { ...LOCATION, site: 'berlin' }, actAt())
  await rm(join(directory, 'ca', 'ca.pem'))
  await assert.rejects(openAuthority({ directory, effects: clock }), {
    code: 'STORE',
    message: /CA is missing/,
  })
})

test('a crash between the making of store and CA is followed by a whole first run', async (t) => {
  const { directory, clock } = await openTestAuthority(t)
  await rm(join(directory, 'ca'), { recursive: true })
  const again = await openAuthority({ directory, effects: clock })
  await again.store[Symbol.asyncDispose]()
  assert.equal(again.authority.certificate.ca, true)
})

test('a damaged CA file is refused and left as it is', async (t) => {
  const { directory, clock } = await openTestAuthority(t)
  const path = join(directory, 'ca', 'ca.pem')
  const half = (await readFile(path, 'utf8')).slice(0, 300)
  await writeFile(path, half)
  await assert.rejects(openAuthority({ directory, effects: clock }), { code: 'STORE' })
  assert.equal(await readFile(path, 'utf8'), half)
})

test('a lifetime out of range is refused', async (t) => {
  const { directory, clock } = await openTestAuthority(t)
  for (const agentLifetimeMs of [0, 119_999, 91 * DAY, Number.NaN]) {
    await assert.rejects(openAuthority({ directory, effects: clock, agentLifetimeMs }), { code: 'CONFIG' })
  }
})

test('the server certificate bears the given names and the local ones, with the CA behind it', async (t) => {
  const { context, directory, clock } = await openTestAuthority(t)
  const issued = await ensureServerCertificate(
    directory,
    context.authority,
    ['relay.test', '192.0.2.7'],
    clock,
  )
  const [leaf = '', ca = ''] = issued.chain.split(/(?<=-----END CERTIFICATE-----\n)/)
  const certificate = new X509Certificate(leaf)
  assert.equal(ca, context.authority.certificate.toString())
  for (const name of ['relay.test', 'localhost']) assert.equal(certificate.checkHost(name), name)
  for (const address of ['192.0.2.7', '127.0.0.1', '::1']) assert.ok(certificate.checkIP(address), address)
  assert.equal(certificate.checkHost('other.test'), undefined)
  assert.deepEqual(certificate.keyUsage, ['1.3.6.1.5.5.7.3.1'])
  assert.equal(certificate.ca, false)
  assert.equal(issued.notAfter, clock.date() + 90 * DAY)
})

test('the server certificate is kept while it fits and made anew when names or time have changed', async (t) => {
  const { context, directory, clock } = await openTestAuthority(t)
  const { authority } = context
  const first = await ensureServerCertificate(directory, authority, ['relay.test'], clock)
  const start = clock.date()
  clock.moveTo(start + 59 * DAY)
  assert.equal(
    (await ensureServerCertificate(directory, authority, ['relay.test'], clock)).chain,
    first.chain,
  )
  const more = await ensureServerCertificate(directory, authority, ['relay.test', 'app.test'], clock)
  assert.notEqual(more.chain, first.chain)
  const fewer = await ensureServerCertificate(directory, authority, ['relay.test'], clock)
  assert.notEqual(fewer.chain, more.chain)
  clock.moveTo(fewer.renewAt)
  assert.notEqual(
    (await ensureServerCertificate(directory, authority, ['relay.test'], clock)).chain,
    fewer.chain,
  )
})

test('a server certificate of another CA is not kept, and a name that is none is refused', async (t) => {
  const clock = testClock()
  const one = await openTestAuthority(t, clock)
  const two = await openTestAuthority(t, clock)
  const first = await ensureServerCertificate(one.directory, one.context.authority, [], clock)
  const second = await ensureServerCertificate(one.directory, two.context.authority, [], clock)
  assert.notEqual(first.chain, second.chain)
  for (const name of ['a b', 'x,CN=y', '*.test', '']) {
    await assert.rejects(ensureServerCertificate(one.directory, one.context.authority, [name], clock), {
      code: 'CONFIG',
    })
  }
})
