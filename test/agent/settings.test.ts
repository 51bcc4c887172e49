import assert from 'node:assert/strict'
import { test } from 'node:test'
import { writeSettings } from '../../agent/settings.ts'
import { Secret } from '../../shared/secret.ts'
import { temporaryDirectory } from '../relay/store/store-fixture.ts'

function signalListeners(): number {
  const signals = process.eventNames().filter((name) => String(name).startsWith('SIG'))
  return signals.reduce((sum, name) => sum + process.listenerCount(name), 0)
}

test('settings are stored without anybody else listening to signals', async (t) => {
  const before = signalListeners()
  const mine = () => undefined
  process.on('SIGTERM', mine)
  t.after(() => process.off('SIGTERM', mine))
  await writeSettings(await temporaryDirectory(t), {
    agentId: 'a'.repeat(26),
    tenant: 'default',
    site: 'berlin',
    generation: 1,
    addresses: [{ host: '127.0.0.1', port: 443 }],
    serverName: 'relay.test',
    ca: '',
    certificate: '',
    key: new Secret(''),
    obtainedAt: 0,
    lifetimeMs: 1,
  })
  assert.ok(process.listeners('SIGTERM').includes(mine))
  assert.equal(signalListeners(), before + 1)
})
