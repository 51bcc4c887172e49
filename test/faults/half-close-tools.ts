import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { within } from '../support/deadline.ts'
import { listenTarget, type TcpEnd, type TcpTarget, tcpEnd } from '../support/tcp-kit.ts'
import { startWorld, type World } from './world.ts'

/**
 * F03 with other people's programs: node test/run.ts test/faults/half-close-tools.ts
 * Needs nc (netcat-openbsd) and socat. The client sends its end first and the service answers a second later; COPY through
 * psql is in test/interop/psql.interop.ts and test/e2e/postgres.test.ts, every order of ends in test/e2e/half-close.test.ts.
 */

const QUESTION = 'what is the answer?\n'
const ANSWER = Buffer.alloc(3_000_000, 'forty-two ')

/** How long the service thinks, in ms. */
const THOUGHT_MS = 1_000
/** How soon both sides are closed behind the answer, in ms. */
const CLOSED_MS = 1_000

/** Each closes its sending side when its input ends and reads on. */
const TOOLS: Record<string, (port: number) => [string, string[]]> = {
  'nc -N': (port) => ['nc', ['-N', '127.0.0.1', String(port)]],
  'socat -t 10': (port) => ['socat', ['-t', '10', '-', `TCP:127.0.0.1:${port}`]],
}

describe('F03: half of a connection closed', () => {
  let world: World
  let target: TcpTarget
  const ports: Record<string, number> = {}
  let asked = Promise.withResolvers<TcpEnd>()

  before(async () => {
    target = await listenTarget((socket) => {
      const service = tcpEnd(socket)
      // The agent looks in too, to see whether the service is well; it asks nothing.
      socket.once('data', () => asked.resolve(service))
    })
    world = await startWorld()
    await world.startAgent({ targets: { late: target.port } })
    ports.listener = await world.publish('berlin/late')
    ports.connector = (await world.connect('berlin/late', await world.credentials('dev', 'berlin/late'))).port
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  for (const [tool, command] of Object.entries(TOOLS)) {
    for (const road of ['listener', 'connector']) {
      it(`F03: ${tool} through the ${road} gets an answer that begins after its own end`, async () => {
        const [program, args] = command(ports[road] ?? 0)
        const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] })
        const said = text(child.stdout)
        child.stdin.end(QUESTION)
        const service = await within(asked.promise, 'the question')
        asked = Promise.withResolvers()
        await service.finished
        assert.equal(String(service.received()), QUESTION)
        await new Promise((resolve) => setTimeout(resolve, THOUGHT_MS))
        service.socket.end(ANSWER)
        const answered = performance.now()
        assert.ok((await within(said, tool)) === String(ANSWER), 'the answer')
        assert.equal((await service.closed).end, 'FIN')
        assert.ok(performance.now() - answered < CLOSED_MS, 'closed behind the answer')
      })
    }
  }
})
