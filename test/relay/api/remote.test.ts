import assert from 'node:assert/strict'
import { mkdtemp, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { listAudit } from '../../../relay/operations/audit.ts'
import { showStatus } from '../../../relay/operations/status.ts'
import { listEnvironments } from '../../../relay/operations/tenants.ts'
import { remoteRequest } from '../../../relay/remote-request.ts'
import { callRemote } from '../../../shared/cli/remote-call.ts'
import {
  formatRelayUrl,
  loginDirectory,
  parseRelayUrl,
  readLogin,
  removeLogin,
  writeLogin,
} from '../../../shared/cli/remote-login.ts'
import { Secret } from '../../../shared/secret.ts'
import { type ApiKit, startApiKit } from '../../support/api-kit.ts'

const signal = AbortSignal.timeout(60_000)

let api: ApiKit
let base: string

before(async () => {
  api = await startApiKit()
  base = await mkdtemp(join(tmpdir(), 'sallyport-logins-'))
})

after(async () => {
  await api[Symbol.asyncDispose]()
  await rm(base, { recursive: true, force: true })
})

function loginOf(
  token: string,
  ca: string | undefined = api.kit.relay.authority.authority.certificate.toString(),
) {
  return { address: { host: '127.0.0.1', port: api.kit.port }, token: new Secret(token), ca }
}

describe('a stored login', () => {
  it('is kept for its relay alone, in a file that only its owner can read', async () => {
    const directory = loginDirectory({ XDG_CONFIG_HOME: join(base, 'config') })
    const login = { ...loginOf('token'), person: 'ann', expiresAt: 5 }
    await writeLogin(directory, login)
    const read = await readLogin(directory, login.address)
    assert.deepEqual({ ...read, token: read.token.reveal() }, { ...login, token: 'token' })
    const file = join(directory, `127.0.0.1_${api.kit.port}.json`)
    assert.equal((await stat(file)).mode & 0o777, 0o600)
    assert.equal((await stat(directory)).mode & 0o777, 0o700)
    await assert.rejects(readLogin(directory, { host: '127.0.0.1', port: 1 }), {
      code: 'LOGIN',
      next: 'sallyport login --relay https://127.0.0.1:1',
    })
    await writeFile(file, '{"version":1}')
    await assert.rejects(readLogin(directory, login.address), { code: 'LOGIN' })
    assert.deepEqual(
      [await removeLogin(directory, login.address), await removeLogin(directory, login.address)],
      [true, false],
    )
  })

  it('names its relay by an HTTPS address and nothing more', () => {
    for (const text of [
      'https://relay.example.org',
      'https://relay.example.org:8443',
      'https://[::1]:8443',
    ]) {
      assert.equal(formatRelayUrl(parseRelayUrl(text)), text)
    }
    for (const text of [
      'http://a.example',
      'a.example',
      'https://u:p@a.example',
      'https://a.example/x',
      'https://a.example?x',
      '',
    ]) {
      assert.throws(() => parseRelayUrl(text), { code: 'USAGE' }, text)
    }
  })
})

describe('an operation as a request', () => {
  it('has its names in the path and the rest in query or body', () => {
    assert.deepEqual(remoteRequest(listEnvironments, {}), {
      method: 'GET',
      path: '/api/v1/tenants/default/environments',
    })
    assert.deepEqual(remoteRequest(showStatus, { tenant: 'a b', environment: 'test' }), {
      method: 'GET',
      path: '/api/v1/tenants/a%20b/status?environment=test',
    })
    assert.equal(
      remoteRequest(listAudit, { tenant: 'acme', limit: 5 }).path,
      '/api/v1/tenants/acme/audit?limit=5',
    )
  })
})

describe('a call to another relay', () => {
  const request = remoteRequest(listEnvironments, {})

  it('gives what the operation gives, or refuses as the relay does', async () => {
    const token = api.callers.withRole('auditor')
    const answer = (await callRemote(loginOf(token), request, { signal })) as { items: object[] }
    assert.equal(answer.items.length, 3)
    await assert.rejects(callRemote(loginOf('wrong'), request, { signal }), { code: 'LOGIN' })
    const foreign = remoteRequest(listEnvironments, { tenant: 'other' })
    await assert.rejects(callRemote(loginOf(token), foreign, { signal }), { code: 'NOT_FOUND' })
  })

  it('shows the token to nobody but the relay that TLS proves', async () => {
    await assert.rejects(callRemote({ ...loginOf('x'), ca: undefined }, request, { signal }), {
      code: 'RELAY_IDENTITY',
    })
    const nobody = { ...loginOf('x'), address: { host: '127.0.0.1', port: 1 } }
    await assert.rejects(callRemote(nobody, request, { signal }), { code: 'RELAY_UNREACHABLE' })
  })
})
