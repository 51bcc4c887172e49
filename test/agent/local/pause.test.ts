import assert from 'node:assert/strict'
import { stat, writeFile } from 'node:fs/promises'
import type { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import { controlHandlers } from '../../../agent/local/control.ts'
import { pausePath, readPause, writePause } from '../../../agent/local/pause.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'
import { within } from '../../support/deadline.ts'
import { startKit } from '../../support/relay-kit.ts'
import { dial, echoTarget } from '../../support/tcp-kit.ts'

describe('the pause of an agent, on the disk', () => {
  it('stands there until it is taken away', async (t) => {
    const directory = await temporaryDirectory(t)
    assert.equal(await readPause(directory), undefined)
    await writePause(directory, { since: 5 })
    assert.deepEqual(await readPause(directory), { since: 5 })
    assert.equal((await stat(pausePath(directory))).mode & 0o777, 0o600)
    await writePause(directory, undefined)
    await writePause(directory, undefined)
    assert.equal(await readPause(directory), undefined)
  })

  it('is a pause also where it cannot be understood', async (t) => {
    const directory = await temporaryDirectory(t)
    await writeFile(pausePath(directory), '{"sin', { mode: 0o600 })
    assert.deepEqual(await readPause(directory), { since: 0 })
  })
})

describe('a paused agent', () => {
  it('ends its streams at once, refuses others by a code, also after a restart, and serves again when it is told', async (t) => {
    await using kit = await startKit()
    const target = await echoTarget()
    t.after(() => target.close())
    const site = await kit.startAgent({ rules: { echo: target.port } })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const { port } = await kit.forward(connector, 'berlin/echo')
    const live = await dial(port)
    live.socket.write('hello')
    await live.has(5)

    const began = performance.now()
    await controlHandlers(site.agent).pause?.({}, AbortSignal.timeout(5_000))
    const { end } = await within(live.closed, 'the end of the stream', 5_000)
    assert.equal(end, 'RST')
    assert.ok(performance.now() - began < 5_000)
    assert.equal(site.agent.status().streams, 0)
    const refused = connector.connect('berlin/echo')
    await assert.rejects(opened(refused), { code: 'PAUSED', leg: 'agent' })

    await site.stop()
    const again = await kit.startAgent({ directory: site.directory })
    assert.notEqual(again.agent.status().pausedSince, undefined)
    assert.ok(again.agent.status().connected)
    await assert.rejects(opened(connector.connect('berlin/echo')), { code: 'PAUSED' })

    await controlHandlers(again.agent).resume?.({}, AbortSignal.timeout(5_000))
    assert.equal(again.agent.status().pausedSince, undefined)
    const after = await dial(port)
    after.socket.end('again')
    assert.equal((await after.closed).bytes.toString(), 'again')
  })
})

/** The connecting of a Duplex of the tunnel. */
function opened(duplex: Duplex): Promise<void> {
  return within(
    new Promise<void>((resolve, reject) => {
      duplex.once('connect', resolve)
      duplex.once('error', reject)
    }),
    'an answer',
  )
}
