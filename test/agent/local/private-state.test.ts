import assert from 'node:assert/strict'
import { chmod, rename, symlink, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import { rulesPath, startAgent } from '../../../agent/agent.ts'
import { join as joinRelay } from '../../../agent/enrollment.ts'
import { identityPath } from '../../../agent/identity-store.ts'
import { pausePath } from '../../../agent/local/pause.ts'
import { realEffects } from '../../../shared/effects.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { sallyport } from '../../support/command-line.ts'
import { recordLog } from '../../support/recorded-log.ts'
import { joinOptions, startKit } from '../../support/relay-kit.ts'
import { startRelay } from '../relay-fixture.ts'

async function joined(t: TestContext): Promise<string> {
  const relay = await startRelay(t)
  const data = join(await temporaryDirectory(t), 'agent')
  await joinRelay(await relay.invite(), data, joinOptions())
  return data
}

async function start(t: TestContext, directory: string) {
  const stop = new AbortController()
  t.after(() => stop.abort())
  const log = recordLog()
  return startAgent({ directory, effects: realEffects, log: log.log, signal: stop.signal, probes: false })
}

/** What somebody else on the machine, or a slip of the hand, may have done to an agent that has joined. */
const SPOILT: Readonly<Record<string, (data: string) => Promise<void>>> = {
  'the data directory can be entered by others': (data) => chmod(data, 0o755),
  'the identity can be read by others': (data) => chmod(identityPath(data), 0o644),
  'the identity can be written by others': (data) => chmod(identityPath(data), 0o622),
  'a link stands in the place of the identity': async (data) => {
    await rename(identityPath(data), `${data}/elsewhere`)
    await symlink(`${data}/elsewhere`, identityPath(data))
  },
  'a link stands in the place of the pause': (data) => symlink('/etc/hostname', pausePath(data)),
}

describe('S31: an agent does not start where', () => {
  for (const [what, spoil] of Object.entries(SPOILT)) {
    it(what, async (t) => {
      const data = await joined(t)
      await spoil(data)
      await assert.rejects(start(t, data), { code: 'PERMISSIONS' })
    })
  }
})

describe('S31: rules that others could have written', () => {
  for (const [what, spoil] of [
    [
      'are not read where others may write them',
      (path: string) => writeFile(path, 'version = 1\n').then(() => chmod(path, 0o666)),
    ],
    ['are not read where they are a link', (path: string) => symlink('/etc/hostname', path)],
  ] as const) {
    it(what, async () => {
      await using kit = await startKit()
      const directory = await kit.joinedDirectory()
      await spoil(rulesPath(directory))
      const { agent } = await kit.startAgent({ directory })
      assert.equal(agent.status().rules, 0)
      assert.match(agent.status().rulesError ?? '', /can be written by others|is a link/)
    })
  }
})

describe('S31: a join string on the command line', () => {
  it('is taken, and said to have been seen', async (t) => {
    const relay = await startRelay(t)
    const data = join(await temporaryDirectory(t), 'agent')
    const { status, err } = await sallyport(['agent', 'join', await relay.invite(), '--data', data])
    assert.equal(status, 0, err)
    assert.match(err, /other users of this machine can read it/)
  })
})
