import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, test } from 'node:test'
import { OperatorTokens } from '../../../relay/operators/tokens.ts'
import { tenantExport, tenantRemove } from '../../../relay/removal-commands.ts'
import { createOutput } from '../../../shared/cli/output.ts'
import { type ApiKit, startApiKit } from '../../support/api-kit.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { storeLogin } from '../../support/stored-login.ts'
import { fakeTerminal } from '../../support/terminal.ts'

let api: ApiKit
let base: string

before(async () => {
  base = await mkdtemp(join(tmpdir(), 'sallyport-operator-'))
  process.env.XDG_CONFIG_HOME = base
  api = await startApiKit()
})

after(async () => {
  await api[Symbol.asyncDispose]()
  await rm(base, { recursive: true, force: true })
})

async function lend(name = 'laptop'): Promise<{ id: string; token: string }> {
  return (await api.kit.command('operator.add', { name })) as { id: string; token: string }
}

test('a token of the operator is good until its end, and not one bit of it may differ', () => {
  const effects = new FakeEffects()
  const tokens = new OperatorTokens(effects)
  const { text, id } = tokens.add('laptop', 60_000)
  assert.equal(tokens.verify(text.reveal())?.id, id)
  assert.equal(tokens.verify('sp_session_x'), undefined)
  assert.throws(() => tokens.verify(`${text.reveal()}x`), { code: 'LOGIN' })
  effects.advance(60_000)
  assert.throws(() => tokens.verify(text.reveal()), { code: 'LOGIN' })
  assert.deepEqual(tokens.list(), [])
  for (let i = 0; i < 100; i++) tokens.add('many', 60_000)
  assert.throws(() => tokens.add('more', 60_000), { code: 'CONFLICT' })
})

test('it does what is of the relay as a whole, sees into no tenant, and makes no other', async () => {
  const { token } = await lend()
  assert.equal((await api.ask('POST', '/tenants', { token, body: { tenant: 'acme' } })).status, 200)
  assert.equal((await api.ask('GET', '/tenants', { token })).status, 200)
  assert.equal((await api.ask('GET', '/tenants/@relay/audit', { token })).status, 200)
  assert.equal((await api.ask('POST', '/tenants/acme/setup-link', { token })).status, 200)
  for (const path of [
    '/tenants/acme/status',
    '/tenants/acme/people',
    '/tenants/acme/audit',
    '/tenants/default/me/keys',
  ]) {
    assert.equal((await api.ask('GET', path, { token })).status, 404, path)
  }
  assert.equal((await api.ask('POST', '/operators', { token, body: { name: 'other' } })).status, 403)
  const again = { token, body: { tenant: 'again' }, headers: { 'idempotency-key': 'one' } }
  assert.deepEqual((await api.ask('POST', '/tenants', again)).body.field, 'Idempotency-Key')
  for (const role of ['owner', 'administrator'] as const) {
    const other = api.callers.withRole(role)
    assert.equal((await api.ask('GET', '/operators', { token: other })).status, 404)
  }
})

test('what it did stands in the chain as the operator, with its id, and it ends at once when it is removed', async () => {
  const { token, id } = await lend('ci')
  await api.ask('POST', '/tenants', { token, body: { tenant: 'noted' } })
  await api.kit.relay.trail.flush()
  const { records } = await api.kit.relay.authority.store.readAudit('@relay', {
    ...{ order: 'newest', limit: 10, filter: { actorId: id } },
  })
  assert.deepEqual(
    records.map(({ actor, action, object }) => [actor.kind, action, object]),
    [['operator', 'tenant.add', 'noted']],
  )
  const other = await lend('second')
  assert.equal((await api.ask('DELETE', `/operators/${id}`, { token: other.token })).status, 200)
  assert.deepEqual((await api.ask('GET', '/tenants', { token })).body.code, 'LOGIN')
  assert.equal((await api.ask('DELETE', `/operators/${id}`, { token: other.token })).status, 404)
})

test('a tenant is exported and removed over the API, with its proof; what breaks off leaves no file', async () => {
  await api.kit.command('tenant.add', { tenant: 'gone' })
  const { token } = await lend('far')
  const relay = await storeLogin(api, token)
  const { stdout, stderr } = fakeTerminal()
  const output = createOutput({ json: true, stdout, stderr })
  const { signal } = new AbortController()
  const asking = { data: '', relay, signal, output }
  const file = join(base, 'gone.json')
  await tenantExport({ ...asking, name: 'gone', file })
  const exported = JSON.parse(await readFile(file, 'utf8'))
  assert.equal(exported.tenant, 'gone')
  assert.equal(Object.values(exported.tables).flat().length, exported.rows)
  assert.equal((await stat(file)).mode & 0o777, 0o600)
  await assert.rejects(tenantExport({ ...asking, name: 'gone', file }), { code: 'CONFLICT' })
  await assert.rejects(tenantExport({ ...asking, name: 'nobody', file: `${file}.2` }), { code: 'NOT_FOUND' })
  await assert.rejects(stat(`${file}.2`))
  const proof = join(base, 'gone.proof')
  await tenantRemove({ ...asking, name: 'gone', yes: true, export: join(base, 'last.json'), proof })
  assert.equal(JSON.parse(await readFile(proof, 'utf8')).tenant, 'gone')
  assert.equal(JSON.parse(await readFile(join(base, 'last.json'), 'utf8')).tenant, 'gone')
  const { body } = await api.ask('GET', '/tenants', { token })
  assert.doesNotMatch(JSON.stringify(body), /gone/)
})
