import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { RunningRelease } from '../../shared/release/running.ts'
import { eventually } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

const expires = '2027-06-01T00:00:00Z'
const signed = (channel: string, version: string): RunningRelease => ({
  isSigned: true,
  channel,
  version,
  expires,
})
const unsigned: RunningRelease = { isSigned: false, reason: 'development build, unsigned' }

describe('a relay that asks for a release', () => {
  let kit: RelayKit

  before(async () => {
    kit = await startKit({ requiredRelease: { channel: 'stable', version: '1.2.0' } })
  })
  after(() => kit[Symbol.asyncDispose]())

  const statementsAt = async () => {
    const status = (await kit.command('status.show', {})) as {
      sessions: { name: string; release?: string }[]
    }
    return status.sessions.map(({ name, release }) => [name, release])
  }

  it('takes an agent that states it or a later one, and shows what it stated', async () => {
    const agent = await kit.startAgent({ site: 'newer', release: signed('stable', '1.3.0'), sessions: 1 })
    assert.match(agent.agent.status().release ?? '', /1\.3\.0 of channel stable, signed/)
    assert.deepEqual(await statementsAt(), [['newer', 'stable/1.3.0']])
    await agent.stop()
  })

  for (const [why, release] of [
    ['an older version', signed('stable', '1.1.0')],
    ['another channel', signed('beta', '1.3.0')],
    ['no signed release', unsigned],
  ] as const) {
    it(`sends away an agent that states ${why}, which knows why and asks again slowly`, async () => {
      const agent = await kit.startAgent({ site: 'other', release, isAwaited: false, sessions: 1 })
      await eventually(() => agent.agent.status().lastError?.code === 'OUTDATED', 'the refusal')
      const status = agent.agent.status()
      assert.equal(status.lastError?.leg, 'relay-agent')
      await eventually(() => !agent.agent.status().connected, 'the end of the session')
      assert.equal(agent.agent.status().attempts, 1)
      assert.deepEqual(await statementsAt(), [])
      await agent.stop()
    })
  }

  it('asks connectors for nothing', async () => {
    const connector = await kit.connect(await kit.credentials('app', 'other/web'))
    assert.equal((await statementsAt())[0]?.[0], 'app')
    await connector.close()
  })
})
