import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import type { Connector, TunnelDuplex } from '../../connector/index.ts'
import { collectMetrics } from '../../relay/metrics/collect.ts'
import { formatMetrics } from '../../relay/metrics/exposition.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { type CuttingProxy, startCuttingProxy } from './survival-kit.ts'

/** The agent's clock runs so many times as fast. */
const FACTOR = 20

const IDLE = { p99: () => 0.004, [Symbol.dispose]: () => undefined }

async function open(connector: Connector, resource: string): Promise<TunnelDuplex> {
  const duplex = connector.connect(resource)
  await within(once(duplex, 'connect'), `a stream to ${resource}`)
  return duplex.on('error', () => undefined)
}

async function codeOf(connector: Connector, resource: string): Promise<string> {
  const [error] = await within(once(connector.connect(resource), 'error'), `the failure of ${resource}`)
  return (error as { code: string }).code
}

describe('what survives can be seen', () => {
  let kit: RelayKit
  let target: TcpTarget
  let proxy: CuttingProxy
  let agent: TestAgent
  let connector: Connector

  before(async () => {
    kit = await startKit()
    target = await echoTarget()
    proxy = await startCuttingProxy(kit.port)
    agent = await kit.startAgent({
      // Where both sessions are lost the second comes back within a minute of its clock.
      effects: fastEffects(FACTOR),
      address: { host: '127.0.0.1', port: proxy.port },
      rules: { echo: target.port },
    })
    await eventually(() => agent.agent.status().sessions.length === 2, 'two sessions')
    connector = await kit.connect(await kit.credentials('dev', 'berlin/echo', 'berlin/none'))
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await proxy[Symbol.asyncDispose]()
    await target.close()
  })

  const metrics = () => {
    const lines = formatMetrics(collectMetrics(kit.relay, IDLE)).split('\n')
    return new Map(
      lines.filter((line) => !line.startsWith('#')).map((line) => line.split(' ') as [string, string]),
    )
  }

  it('in the metrics: sessions, links, streams, resumes, bytes and refusals', async () => {
    const duplex = await open(connector, 'berlin/echo')
    assert.equal(await codeOf(connector, 'berlin/none'), 'DENIED_BY_SITE')
    assert.equal(await codeOf(connector, 'berlin/other'), 'DENIED_BY_RELAY')
    const idle = metrics()
    assert.equal(idle.get('sallyport_agents'), '1')
    assert.equal(idle.get('sallyport_sessions{kind="agent"}'), '2')
    assert.equal(idle.get('sallyport_sessions{kind="connector"}'), '1')
    assert.equal(idle.get('sallyport_links{kind="agent"}'), '2')
    assert.equal(idle.get('sallyport_streams{kind="agent"}'), '1')
    assert.equal(idle.get('sallyport_event_loop_delay_p99_seconds'), '0.004')
    assert.equal(idle.get('sallyport_refusals_total{at="stream",code="DENIED_BY_SITE"}'), '1')
    assert.equal(idle.get('sallyport_refusals_total{at="stream",code="DENIED_BY_RELAY"}'), '1')
    assert.equal(idle.get('sallyport_resumes_total{outcome="OK"}'), '0')

    const heard = once(duplex, 'data')
    const { resumed } = agent.agent.status().resumes
    proxy.cut()
    duplex.write('twelve bytes')
    assert.equal(String((await within(heard, 'the echo'))[0]), 'twelve bytes')
    duplex.end()
    await within(once(duplex, 'end'), 'the end')
    await eventually(() => metrics().get('sallyport_resumes_total{outcome="OK"}') === '1', 'one resume')
    assert.equal(agent.agent.status().resumes.resumed, resumed + 1)
    await eventually(() => {
      const value = metrics().get('sallyport_stream_bytes_total{direction="to_site"}')
      return Number(value) >= 12
    }, 'bytes')
  })

  it("in the relay's status, with what no search for a path found", async () => {
    await eventually(() => agent.agent.status().sessions.length === 2, 'two sessions again')
    const status = (await kit.command('status.show', {})) as {
      sessions: { kind: string; id: string; links: number }[]
      resumes: { resumed: number; last?: { outcome: string } }
    }
    const own = status.sessions.filter(({ kind }) => kind === 'agent')
    assert.deepEqual(
      own.map(({ id, links }) => [id, links]),
      [1, 2].map(() => [agent.agent.status().agentId, 1]),
    )
    assert.equal(status.resumes.resumed, 1)
    assert.ok(status.resumes.last !== undefined)
  })
})
