import assert from 'node:assert/strict'
import { globSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { startWorld, type World } from './world.ts'

/**
 * F13: node test/run.ts test/faults/clocks.ts (Linux, Debian's faketime; two minutes)
 * An agent whose clock is 400 days ahead or two days behind, and one whose clock is set an hour forth and back while it runs.
 * The clock of intervals is never touched, as no step of a real clock touches it.
 */

/** Longer than any interval between two PINGs with what follows it, in ms. */
const LOOK_MS = 35_000

const [library] = globSync('/usr/lib/*/faketime/libfaketime.so.1')

function clock(spec: Readonly<Record<string, string>>) {
  return { env: { LD_PRELOAD: library ?? '', FAKETIME_DONT_FAKE_MONOTONIC: '1', ...spec } }
}

describe('F13: a clock that is wrong', {
  skip: library === undefined ? 'faketime is not installed' : false,
}, () => {
  let world: World
  let target: TcpTarget

  before(async () => {
    target = await echoTarget()
    world = await startWorld()
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  for (const [name, offset] of Object.entries({ '400 days ahead': '+400d', 'two days behind': '-2d' })) {
    it(`F13: ${name}: the agent says both dates, and who must act`, async () => {
      const site = name.replaceAll(' ', '-')
      const joined = await world.startAgent({ site, targets: { echo: target.port }, isRunning: false })
      const part = world.start(['agent', 'run', '--data', joined.data], clock({ FAKETIME: offset }))
      await part.line()
      const failure = () => part.log().find(({ msg }) => msg === 'not connected')
      await eventually(() => failure() !== undefined, 'a failure', 20_000)
      const { code, detail } = failure() ?? {}
      process.stdout.write(`    ${code}: ${detail}\n`)
      const dates = String(detail).match(/\d{4}-\d{2}-\d{2}/g) ?? []
      assert.ok(new Set(dates).size >= 2, `not two dates: ${detail}`)
      assert.match(String(detail), /clock/)
      await part.end('SIGKILL')
    })
  }

  it('F13: a step of an hour forth and back moves no timer: the same sessions, and streams that go on', async () => {
    const file = join(world.root, 'clock')
    await writeFile(file, '+0\n')
    const options = clock({ FAKETIME_TIMESTAMP_FILE: file, FAKETIME_NO_CACHE: '1' })
    const agent = await world.startAgent({ site: 'steps', targets: { echo: target.port }, ...options })
    const client = await dial(await world.publish('steps/echo'))
    client.socket.write('x')
    await client.has(1)
    await eventually(async () => (await world.sessionsOf('steps')).length === 2, 'both sessions', 20_000)
    const sessions = await world.sessionsOf('steps')
    for (const [index, offset] of ['+1h', '-1h', '+0'].entries()) {
      await writeFile(file, `${offset}\n`)
      await new Promise((resolve) => setTimeout(resolve, index === 0 ? LOOK_MS : LOOK_MS / 4))
      client.socket.write('y')
      await client.has(2 + index)
    }
    assert.deepEqual((await world.sessionsOf('steps')).sort(), sessions.sort())
    const said = agent.part.log().map(({ msg }) => msg)
    assert.ok(!said.includes('certificate renewed') && !said.includes('not connected'), `${said}`)
    client.socket.destroy()
  })
})
