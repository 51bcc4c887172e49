import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { mkdir, readFile, stat, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { gunzipSync } from 'node:zlib'
import { redact } from '../../../agent/local/redact.ts'
import { supportBundle } from '../../../agent/local/support-bundle-command.ts'
import { tar } from '../../../agent/local/tar.ts'
import { createOutput } from '../../../shared/cli/output.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { fakeTerminal } from '../../support/terminal.ts'

const CANARY = 'cAnArY7x'

/** Texts in which a secret may stand, each with what should still be readable. */
const FORMS = [
  [`sallyport-join-1.${CANARY}_-abc`, ''],
  [`"proxy":"http://bob:${CANARY}@proxy.corp:3128"`, 'proxy.corp:3128'],
  [`https://${CANARY}@host/`, 'host'],
  [`{"authorization":"Basic ${CANARY}=="}`, 'authorization'],
  [`Authorization: Bearer ${CANARY}`, 'Authorization'],
  [`  Proxy-Authorization: NTLM ${CANARY}`, 'Proxy-Authorization'],
  [`Cookie: session=${CANARY}; a=b`, 'Cookie'],
  [`{"db_password":"a\\"${CANARY}"}`, 'db_password'],
  [`token = "${CANARY}"`, 'token'],
  [`# password=${CANARY}`, 'password'],
  [`GET /?token=${CANARY}&a=b`, 'a=b'],
  [`-----BEGIN PRIVATE KEY-----\n${CANARY}\n-----END PRIVATE KEY-----`, ''],
  [`-----BEGIN EC PRIVATE KEY-----\n${CANARY}`, ''],
  [JSON.stringify({ key: `-----BEGIN PRIVATE KEY-----\n${CANARY}` }), ''],
] as const

describe('what leaves the machine for support', () => {
  for (const [text, kept] of FORMS) {
    it(`holds no secret in the form ${text.slice(0, 40).replaceAll('\n', ' ')}`, () => {
      const clean = redact(text)
      assert.equal(clean.includes(CANARY), false, clean)
      assert.ok(clean.includes(kept), clean)
    })
  }

  it('keeps what is no secret', () => {
    const text =
      '[resources.db]\nhost = "db.corp.example"\nport = 5432\n{"fingerprint":"SHA256:abc","resource":"key-store"}\n'
    assert.equal(redact(text), text)
  })

  it('is found in time, whatever the text', () => {
    const began = performance.now()
    for (const unit of ['a', 'a-', 'a:', '://', '"', 'token', '-----BEGIN PRIVATE KEY-----', '\\"', ' '])
      redact(unit.repeat(2 ** 19 / unit.length))
    // Quadratic work would take minutes.
    assert.ok(performance.now() - began < 20_000)
  })

  it('is an archive that every tar reads', async (t) => {
    const path = join(await temporaryDirectory(t), 'a.tar')
    const content = 'ä'.repeat(400)
    await writeFile(
      path,
      tar(
        [
          { name: 'a/b.txt', content },
          { name: 'a/empty', content: '' },
        ],
        0,
      ),
    )
    assert.equal(execFileSync('tar', ['-tf', path], { encoding: 'utf8' }), 'a/b.txt\na/empty\n')
    assert.equal(execFileSync('tar', ['-xOf', path, 'a/b.txt'], { encoding: 'utf8' }), content)
  })

  it('S32: has none of the canaries that lie in a data directory, follows no link and never opens the identity', async (t) => {
    const root = await temporaryDirectory(t)
    const data = join(root, 'data')
    await mkdir(data, { mode: 0o700 })
    const put = (name: string, text: string) => writeFile(join(data, name), text, { mode: 0o600 })
    await put('identity.json', `{"key":"${CANARY}","certificate":"${CANARY}"}`)
    await put('proxy-credentials', `bob:${CANARY}`)
    await put('settings.json', `{"site":"berlin","proxy":"http://bob:${CANARY}@proxy.corp:3128"}`)
    await put('agent.log', FORMS.map(([text]) => text).join('\n'))
    const secret = join(root, 'secret')
    await writeFile(secret, CANARY)
    await symlink(secret, join(data, 'rules.toml'))
    const out = join(root, 'bundle.tar.gz')
    const { stdout, stderr } = fakeTerminal()
    const output = createOutput({ json: false, stdout, stderr })
    const options = { data, out, environment: {}, signal: AbortSignal.timeout(10_000), output }
    await supportBundle(options)
    assert.equal((await stat(out)).mode & 0o777, 0o600)
    const all = gunzipSync(await readFile(out)).toString()
    assert.equal(all.includes(CANARY), false)
    assert.match(all, /proxy\.corp:3128/)
    assert.match(all, /NOT_RUNNING/)
    assert.match(all, /\(not read: ELOOP\)/)
    await assert.rejects(supportBundle(options), { code: 'CONFIG' })
  })
})
