import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import { readFile, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { describe, it, type TestContext } from 'node:test'
import { readIdentity } from '../../../agent/identity-store.ts'
import { joinAtFirstBoot } from '../../../agent/service/first-boot.ts'
import { findJoinString, JOIN_VARIABLE, readJoinString } from '../../../agent/service/join-source.ts'
import { realEffects } from '../../../shared/effects.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { recordLog } from '../../support/recorded-log.ts'
import { startRelay } from '../relay-fixture.ts'

function sources(file: string | undefined, input = '', environment: NodeJS.ProcessEnv = {}) {
  return {
    file,
    environment,
    stdin: Readable.from([Buffer.from(input)]),
    signal: AbortSignal.timeout(10_000),
  }
}

async function fileWith(t: TestContext, text: string): Promise<string> {
  const path = join(await temporaryDirectory(t), 'join')
  await writeFile(path, text, { mode: 0o600 })
  return path
}

describe('where a join string may lie', () => {
  it('in a file, on standard input or in the environment, whose variable goes', async (t) => {
    const file = await fileWith(t, ' text \n')
    const found = await findJoinString(sources(file))
    assert.deepEqual([found?.text.reveal(), found?.file], ['text', file])
    assert.equal((await findJoinString(sources('-', 'typed\n')))?.text.reveal(), 'typed')
    const environment = { [JOIN_VARIABLE]: 'given' }
    assert.equal((await findJoinString(sources(undefined, '', environment)))?.text.reveal(), 'given')
    assert.deepEqual(environment, {})
  })

  it('and is not there where the file is missing, empty, or what the unit puts for none', async (t) => {
    assert.equal(await findJoinString(sources(undefined)), undefined)
    assert.equal(await findJoinString(sources(join(await temporaryDirectory(t), 'none'))), undefined)
    assert.equal(await findJoinString(sources(await fileWith(t, ''))), undefined)
    assert.equal(await findJoinString(sources(await fileWith(t, 'none'))), undefined)
    const environment = { [JOIN_VARIABLE]: 'given' }
    const found = await findJoinString(sources(await fileWith(t, 'none'), '', environment))
    assert.equal(found?.text.reveal(), 'given')
  })

  it('for "agent join" it must be exactly one of them', async (t) => {
    const file = await fileWith(t, 'text')
    assert.equal((await readJoinString('word', sources(undefined))).text.reveal(), 'word')
    assert.equal((await readJoinString('-', sources(undefined, 'typed'))).text.reveal(), 'typed')
    assert.equal((await readJoinString(undefined, sources(file))).text.reveal(), 'text')
    const environment = { [JOIN_VARIABLE]: 'given' }
    assert.equal(
      (await readJoinString(undefined, sources(undefined, '', environment))).text.reveal(),
      'given',
    )
    await assert.rejects(readJoinString(undefined, sources(undefined)), { code: 'USAGE' })
    await assert.rejects(readJoinString('word', sources(file)), { code: 'USAGE' })
  })
})

describe('an agent at its first boot', () => {
  async function boot(data: string, file: string | undefined, environment: NodeJS.ProcessEnv = {}) {
    const log = recordLog()
    await joinAtFirstBoot({ ...sources(file, '', environment), data, effects: realEffects, log: log.log })
    return log
  }

  it('joins with the string that lies ready, and removes the file', async (t) => {
    const relay = await startRelay(t)
    const data = join(await temporaryDirectory(t), 'agent')
    const file = await fileWith(t, await relay.invite())
    const log = await boot(data, file)
    assert.equal((await readIdentity(data))?.site, 'berlin')
    assert.equal((await stat(data)).mode & 0o777, 0o700)
    assert.equal(existsSync(file), false)
    assert.equal(
      log.records.some((line) => /sallyport-join/.test(JSON.stringify(line))),
      false,
    )
  })

  it('leaves a string alone where it has an identity, and takes it out of the environment all the same', async (t) => {
    const relay = await startRelay(t)
    const data = join(await temporaryDirectory(t), 'agent')
    await boot(data, await fileWith(t, await relay.invite()))
    const before = await readIdentity(data)
    const file = await fileWith(t, await relay.invite())
    const environment = { [JOIN_VARIABLE]: await relay.invite() }
    const log = await boot(data, file, environment)
    assert.equal((await readIdentity(data))?.agentId, before?.agentId)
    assert.match(await readFile(file, 'utf8'), /^sallyport-join/)
    assert.deepEqual(environment, {})
    await log.until('join string not used: this agent has joined')
  })

  it('keeps the file where joining failed, for the next start', async (t) => {
    const relay = await startRelay(t)
    const data = join(await temporaryDirectory(t), 'agent')
    const text = await relay.invite()
    await boot(join(await temporaryDirectory(t), 'first'), await fileWith(t, text))
    const file = await fileWith(t, text)
    await assert.rejects(boot(data, file), { code: 'JOIN_TOKEN' })
    assert.ok(existsSync(file))
    assert.equal(await readIdentity(data), undefined)
  })

  it('starts without a string too; it is for the agent to say that it has not joined', async (t) => {
    await boot(join(await temporaryDirectory(t), 'agent'), undefined)
  })
})
