import assert from 'node:assert/strict'
import { cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { dial, echoTarget } from '../support/tcp-kit.ts'

/**
 * S14: node test/security/copied-agent.ts (two minutes at most)
 * The data directory of an agent is copied, and both run: who serves changes at most three times in a minute, the relay
 * notices, and the site is stopped where its tenant wants that. On the real clock, since it is about who waits how long.
 */

const MINUTE_MS = 60_000
const NOTICED_WITHIN_MS = 100_000

it('two of one agent fight slowly, are noticed, and their site is stopped', async (t) => {
  await using kit = await startKit()
  await using echo = await echoTarget()
  const parent = await mkdtemp(join(tmpdir(), 'sallyport-copy-'))
  t.after(() => rm(parent, { recursive: true, force: true }))
  await kit.command('copies.set', { response: 'freeze' })
  const original = await kit.startAgent({ rules: { echo: echo.port } })
  const copied = join(parent, 'agent')
  await cp(original.directory, copied, { recursive: true, filter: (path) => !path.endsWith('.sock') })
  const switches = () =>
    kit.log.records.filter(({ msg, isSameProcess }) => msg === 'session replaced' && isSameProcess === false)
  const began = Date.now()
  await kit.startAgent({ directory: copied, isAwaited: false })
  await eventually(() => switches().length > 0, 'the copy takes the place')
  const { copies } = kit.relay.authority
  await eventually(() => copies.list().length > 0, 'the relay noticed', NOTICED_WITHIN_MS)
  const noticedMs = Date.now() - began
  await kit.log.until('site frozen')
  const port = await kit.publish('berlin/echo')
  const visitor = await dial(port)
  visitor.socket.end('words')
  assert.equal((await visitor.closed).bytes.length, 0)
  await eventually(() => Date.now() - began > MINUTE_MS, 'a minute', MINUTE_MS + 1_000)
  // Two sessions each: a switch is a second in which any was taken over.
  const seconds = new Set(
    switches()
      .map(({ time }) => Number(time) - began)
      .filter((at) => at <= MINUTE_MS)
      .map((at) => Math.round(at / 1_000)),
  )
  t.diagnostic(`noticed after ${Math.round(noticedMs / 1_000)} s; taken over in the seconds ${[...seconds]}`)
  assert.ok(seconds.size <= 3, [...seconds].join())
})
