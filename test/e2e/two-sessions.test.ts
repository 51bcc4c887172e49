import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import type { Connector } from '../../connector/index.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { startKit, type TestAgent } from '../support/relay-kit.ts'
import { echoTarget } from '../support/tcp-kit.ts'
import { startCuttingProxy, transfer, transferTarget } from './survival-kit.ts'

const MIB = 1024 * 1024

/** The agent's clock runs so many times as fast, so that it waits less between its attempts. */
const FACTOR = 5

const CUTS = 20

const at = (port: number) => ({ host: '127.0.0.1', port })

/** Says something and hears it again, until `signal` aborts; then ends. Whatever goes wrong rejects. */
async function converse(duplex: Duplex, signal: AbortSignal): Promise<number> {
  const failed = once(duplex, 'error').then(([error]) => {
    throw error
  })
  failed.catch(() => undefined)
  let said = 0
  for (; !signal.aborted || said === 0; said++) {
    const words = randomBytes(1 + (said % 700))
    duplex.write(words)
    await within(Promise.race([hear(duplex, words), failed]), 'an echo', 20_000)
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
  duplex.end()
  duplex.resume()
  await within(Promise.race([once(duplex, 'end'), failed]), 'the end of a conversation', 20_000)
  return said
}

async function hear(duplex: Duplex, words: Buffer): Promise<void> {
  for (let heard = Buffer.alloc(0); heard.length < words.length; ) {
    const piece = duplex.read() as Buffer | null
    if (piece === null) await once(duplex, 'readable')
    else heard = Buffer.concat([heard, piece])
    assert.ok(heard.equals(words.subarray(0, heard.length)), 'what came back is what was said')
  }
}

/** Short conversations one after the other, each on a stream of its own. @returns how many there were */
async function keepOpening(open: () => Duplex, signal: AbortSignal): Promise<number> {
  let count = 0
  for (; !signal.aborted; count++) {
    await converse(open(), AbortSignal.abort())
  }
  return count
}

const standing = (agent: TestAgent) => agent.agent.status().sessions.filter(({ leaving }) => !leaving)

const both = (agent: TestAgent) => eventually(() => standing(agent).length === 2, 'two sessions')

/** F02: as far as it goes with one relay: losing one of two sessions costs nothing. */
describe('an agent with two sessions', () => {
  it('that loses one of them twenty times, under fifty streams, shows nobody: no error, no refusal, no wrong byte', async () => {
    await using kit = await startKit()
    await using echo = await echoTarget()
    await using bulk = await transferTarget()
    await using first = await startCuttingProxy(kit.port)
    await using second = await startCuttingProxy(kit.port)
    const agent = await kit.startAgent({
      effects: fastEffects(FACTOR),
      address: [at(first.port), at(second.port)],
      rules: { echo: echo.port, bulk: bulk.port },
    })
    await both(agent)
    assert.equal(new Set(standing(agent).map(({ relay }) => relay)).size, 2, 'two addresses')
    const connector: Connector = await kit.connect(await kit.credentials('dev', 'berlin/echo', 'berlin/bulk'))
    const port = await kit.publish('berlin/echo')
    const stop = new AbortController()
    const byListener = () => net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const talks = Array.from({ length: 36 }, () => converse(connector.connect('berlin/echo'), stop.signal))
    const visitors = Array.from({ length: 4 }, () => converse(byListener(), stop.signal))
    const transfers = Array.from({ length: 10 }, (_, index) => {
      return transfer(connector.connect('berlin/bulk'), (index % 3) * 2 * MIB, ((index + 1) % 3) * 2 * MIB)
    })
    const opening = [
      keepOpening(() => connector.connect('berlin/echo'), stop.signal),
      keepOpening(byListener, stop.signal),
    ]
    const all = Promise.all([...talks, ...visitors, ...opening])
    const cutting = (async () => {
      for (let cut = 0; cut < CUTS; cut++) {
        const proxy = cut % 2 === 0 ? first : second
        const before = first.accepted + second.accepted
        proxy.cut()
        await eventually(() => first.accepted + second.accepted > before, 'another attempt')
        await both(agent)
        // Not before the relay has it: else this would be a cut of both.
        await eventually(
          () => kit.relay.sessions.list().filter(({ principal }) => principal.kind === 'agent').length >= 2,
          'two sessions at the relay',
        )
      }
    })()
    await Promise.race([cutting, all])
    stop.abort()
    const counts = await all
    await Promise.all(transfers)
    assert.ok(
      counts.slice(-2).every((count) => count >= 3),
      `streams opened meanwhile: ${counts.slice(-2)}`,
    )
    assert.equal(bulk.accepted, 10, 'no stream was opened twice')
    const resumed = agent.log.records.filter(({ msg }) => msg === 'stream resumed')
    assert.ok(resumed.length >= CUTS, `${resumed.length} streams changed their session`)
  })

  it('that is stopped leaves new streams to the other agent of its site: none of them fails', async () => {
    await using kit = await startKit()
    await using echo = await echoTarget()
    const rules = { echo: echo.port }
    let agents = await Promise.all([kit.startAgent({ rules }), kit.startAgent({ rules })])
    await Promise.all(agents.map(both))
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const port = await kit.publish('berlin/echo')
    const stop = new AbortController()
    const byListener = () => net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    const opening = Array.from({ length: 8 }, (_, index) =>
      keepOpening(index % 4 === 0 ? byListener : () => connector.connect('berlin/echo'), stop.signal),
    )
    const all = Promise.all(opening)
    const restarting = (async () => {
      for (let round = 0; round < 4; round++) {
        const [one, other] = agents
        await one.stop()
        agents = [other, await kit.startAgent({ directory: one.directory, rules })]
      }
    })()
    await Promise.race([restarting, all])
    await restarting
    stop.abort()
    const count = (await all).reduce((sum, one) => sum + one, 0)
    assert.ok(count > 20, `${count} streams`)
  })
})
