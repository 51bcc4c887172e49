import assert from 'node:assert/strict'
import net from 'node:net'
import { test } from 'node:test'
import { auditDirectory, readAgentChain } from '../../agent/audit/read.ts'
import { eventually } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { echoTarget } from '../support/tcp-kit.ts'

test('the agent has on record what it let in and what it did not, for whom, by the trace of the relay', async () => {
  await using target = await echoTarget()
  await using kit = await startKit()
  const agent = await kit.startAgent({ rules: { echo: target.port } })
  const connector = await kit.connect(await kit.credentials('app', 'berlin/echo', 'berlin/other'))
  for (const resource of ['berlin/echo', 'berlin/other']) {
    const forward = await kit.forward(connector, resource)
    const socket = net.connect(forward.port, '127.0.0.1')
    socket.on('error', () => undefined)
    socket.end('hello')
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
  }
  await agent.agent.pause({ since: 1 })
  await agent.agent.pause(undefined)
  await agent.stop()
  const records = []
  for await (const record of readAgentChain(auditDirectory(agent.directory))) records.push(record)
  const lines = records.map(
    ({ action, object, opener, outcome }) => `${action} ${object} ${opener} ${outcome}`,
  )
  for (const line of [
    'stream.open echo connector:app OK',
    'stream.close echo connector:app OK',
    'stream.deny other connector:app DENIED_BY_SITE',
    'agent.pause   OK',
    'agent.resume   OK',
  ])
    assert.ok(lines.includes(line), `${line} in\n${lines.join('\n')}`)
  const opened = records.find(({ action }) => action === 'stream.open')
  const { store, effects } = kit.relay.authority
  await eventually(async () => {
    await kit.relay.trail.flush()
    const page = await store.readAudit('default', {
      order: 'oldest',
      limit: 100,
      filter: { traceId: opened?.trace },
    })
    return effects.date() > 0 && page.records.length > 0
  }, 'the same trace at the relay')
})
