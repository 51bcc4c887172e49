import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { join as joinRelay } from '../../../agent/enrollment.ts'
import { identityPath } from '../../../agent/identity-store.ts'
import { reset } from '../../../agent/local/reset-command.ts'
import { createOutput } from '../../../shared/cli/output.ts'
import { controlPath } from '../../../shared/control/path.ts'
import { serveControl } from '../../../shared/control/serve.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { joinOptions } from '../../support/relay-kit.ts'
import { fakeTerminal } from '../../support/terminal.ts'
import { startRelay } from '../relay-fixture.ts'

const signal = AbortSignal.timeout(20_000)

async function joined(t: TestContext): Promise<string> {
  const relay = await startRelay(t)
  const data = join(await temporaryDirectory(t), 'agent')
  await joinRelay(await relay.invite(), data, joinOptions())
  await writeFile(join(data, 'rules.toml'), 'version = 1\n', { mode: 0o600 })
  return data
}

async function run(data: string, answer?: string, yes = answer === undefined): Promise<string> {
  const terminal = fakeTerminal({ input: answer === undefined ? [] : [Buffer.from(answer)] })
  const output = createOutput({ json: false, stdout: terminal.stdout, stderr: terminal.stderr })
  await reset({ data, yes, terminal, signal, output })
  return terminal.out()
}

describe('agent reset', () => {
  it('forgets the identity and nothing else, and says what it leaves', async (t) => {
    const data = await joined(t)
    const said = await run(data)
    assert.equal(existsSync(identityPath(data)), false)
    assert.equal(existsSync(join(data, 'settings.json')), false)
    assert.ok(existsSync(join(data, 'rules.toml')))
    assert.match(said, /left {5}\S+rules\.toml/)
    assert.match(said, /relay revoke agent/)
    await assert.rejects(run(data), { code: 'NOT_FOUND' })
  })

  it('asks first, and takes nothing but yes', async (t) => {
    const data = await joined(t)
    for (const answer of ['n\n', '\n', '', 'yy\n']) await assert.rejects(run(data, answer), { code: 'USAGE' })
    assert.ok(existsSync(identityPath(data)))
    await run(data, 'yes\n')
    assert.equal(existsSync(identityPath(data)), false)
  })

  it('works on a damaged identity, which is when it is needed', async (t) => {
    const data = await joined(t)
    await writeFile(identityPath(data), '{', { mode: 0o600 })
    assert.match(await run(data), /damaged/)
    assert.equal(existsSync(identityPath(data)), false)
  })

  it('does not pull the identity from under a running agent', async (t) => {
    const data = await joined(t)
    await using _control = await serveControl(controlPath(data), { status: async () => ({}) }, { signal })
    await assert.rejects(run(data), { code: 'USAGE' })
    assert.ok(existsSync(identityPath(data)))
  })
})
