import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { verifyChain } from '../../relay/audit/verify.ts'
import { writeBackup } from '../../relay/backup/backup.ts'
import { restoreBackup } from '../../relay/backup/restore.ts'
import { startRelay } from '../../relay/relay.ts'
import { realEffects } from '../../shared/effects.ts'
import { Secret } from '../../shared/secret.ts'
import { actAt } from '../support/acts.ts'
import { eventually } from '../support/deadline.ts'
import { recordLog } from '../support/recorded-log.ts'
import { startKit } from '../support/relay-kit.ts'
import { echoTarget } from '../support/tcp-kit.ts'

test('the drill: a backup while changes go on is restored, and agent, connector and audit chain go on with it', async () => {
  await using target = await echoTarget()
  const root = await mkdtemp(join(tmpdir(), 'sallyport-drill-'))
  await using kit = await startKit()
  const agent = await kit.startAgent({ rules: { echo: target.port } })
  const connector = await kit.connect(await kit.credentials('app', 'berlin/echo'))
  const { store } = kit.relay.authority
  let isOver = false
  let changes = 0
  const load = (async () => {
    for (; !isOver; changes++) {
      await store.addEnvironment('default', `e${changes}`, false, actAt())
      await setImmediate()
    }
  })()
  await eventually(() => changes > 5, 'changes')
  const passphrase = new Secret('correct horse battery')
  const path = join(root, 'one.backup')
  const rest = { passphrase, effects: realEffects, signal: AbortSignal.timeout(20_000) }
  await writeBackup({ directory: kit.directory, path, withMasterKey: true, ...rest })
  const atBackup = changes
  isOver = true
  await load
  await kit.stopRelay()
  const directory = join(root, 'restored')
  await restoreBackup({ path, directory, ...rest })
  const { port } = kit
  const restored = await startRelay({
    ...{ directory, listen: { host: '127.0.0.1', port }, name: '127.0.0.1' },
    ...{ effects: realEffects, log: recordLog().log },
  })
  try {
    await eventually(
      () => restored.sessions.list().some(({ principal }) => principal.kind === 'agent'),
      'the agent',
    )
    const forward = await kit.forward(connector, 'berlin/echo')
    await eventually(() => roundTrip(forward.port), 'a stream through the restored relay')
    const { store: again, authority } = restored.authority
    const names = await again.listEnvironments('default')
    assert.ok(names.length > 3 + 5 && names.length <= 3 + atBackup + 1)
    const verdict = await verifyChain({
      store: again,
      tenantId: 'default',
      certificate: authority.certificate,
    })
    assert.equal(verdict.fault, undefined)
    assert.ok(agent.agent.status().connected)
  } finally {
    await restored.stop(0)
    await rm(root, { recursive: true, force: true })
  }
})

function roundTrip(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write('hello'))
    socket.once('data', () => {
      resolve(true)
      socket.destroy()
    })
    socket.on('error', () => undefined)
    socket.once('close', () => resolve(false))
  })
}
