import assert from 'node:assert/strict'
import net from 'node:net'
import { describe, it } from 'node:test'
import { dial, listenTarget } from '../support/tcp-kit.ts'
import { startWorld } from './world.ts'

/**
 * F27: as far as it goes with one relay: node test/faults/relay-drains.ts [ROUNDS]
 * 100 requests a second while the relay is told to stop and is started again. None that began before may fail, and a long stream
 * of a connector goes on; new ones fail while there is no relay, which two relays would spare them.
 */

const ROUNDS = Number(process.argv[2] ?? 2)
const EVERY_MS = 10
/** Long enough for a connector that has nothing to wait for to try again. */
const BETWEEN_MS = 20_000
const ANSWER_MS = 50

interface Request {
  readonly began: number
  readonly isRight: boolean
}

function ask(port: number): Promise<Request> {
  const began = performance.now()
  return new Promise((resolve) => {
    let said = ''
    const socket = net.connect({ port, host: '127.0.0.1' }, () => socket.end('question'))
    socket.on('data', (chunk: Buffer) => {
      said += chunk.toString()
    })
    socket.on('error', () => undefined)
    socket.on('close', () => resolve({ began, isRight: said === 'question' }))
  })
}

describe('F27: a relay that is stopped and started again under load', () => {
  it(`F27: ${ROUNDS} times: what had begun is answered, a long stream goes on, and agents come back`, async () => {
    await using target = await listenTarget((socket) => {
      let said = ''
      socket.on('data', (chunk: Buffer) => {
        said += chunk.toString()
      })
      socket.on('end', () => setTimeout(() => socket.end(said), ANSWER_MS))
    })
    await using echo = await listenTarget((socket) => socket.pipe(socket))
    await using world = await startWorld()
    await world.startAgent({ targets: { ask: target.port, echo: echo.port } })
    const { port } = await world.connect('berlin/ask', await world.credentials('asks', 'berlin/ask'))
    const long = await dial(
      (await world.connect('berlin/echo', await world.credentials('stays', 'berlin/echo'))).port,
    )
    const requests: Promise<Request>[] = []
    const timer = setInterval(() => requests.push(ask(port)), EVERY_MS)
    const downs: { from: number; to: number }[] = []
    for (let round = 1; round <= ROUNDS; round++) {
      await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
      const from = performance.now()
      await world.relay.end('SIGTERM')
      await world.startRelay()
      downs.push({ from, to: performance.now() })
      long.socket.write('x')
      await long.has(round)
    }
    await new Promise((resolve) => setTimeout(resolve, BETWEEN_MS))
    clearInterval(timer)
    const all = await Promise.all(requests)
    const wrong = downs.map(({ from, to }, index) => {
      const next = downs[index + 1]?.from ?? performance.now()
      const since = downs[index - 1]?.to ?? 0
      const answered = all.find(({ began, isRight }) => isRight && began >= to)
      const round = all.filter(({ began }) => began >= from && began < next)
      // Those of the last second before, which had begun or even been answered when the relay was told.
      const early = all.filter(({ began }) => began >= Math.max(since, from - 1_000) && began < from)
      const failures = round.filter(({ isRight }) => !isRight).length
      process.stdout.write(
        `    stop and start took ${Math.round(to - from)} ms; of ${round.length} requests begun from then on ${failures} failed; ` +
          `the first answer ${Math.round((answered?.began ?? next) - to)} ms after the start\n`,
      )
      return index === 0 ? early.filter(({ isRight }) => !isRight).length : 0
    })
    assert.equal(wrong[0], 0, 'requests that had begun before')
    long.socket.end()
    assert.equal(String((await long.closed).bytes), 'x'.repeat(ROUNDS))
  })
})
