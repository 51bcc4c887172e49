import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type CuttingProxy, startCuttingProxy } from '../e2e/survival-kit.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** F10: a reset on the link between agent and relay. */

const BACK_MS = 2_000

/** How fast the clock runs where half minutes have to pass. */
const FACTOR = 40

/** First and largest bound of the pause before an attempt, in ms (docs/protocol.md section 8.4). */
const PAUSE_MS = { first: 500, most: 30_000 }

describe('F10: a link that is reset', () => {
  let kit: RelayKit
  let proxy: CuttingProxy
  let target: TcpTarget

  before(async () => {
    target = await echoTarget()
    kit = await startKit()
    proxy = await startCuttingProxy(kit.port)
  })

  after(async () => {
    await proxy[Symbol.asyncDispose]()
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  it('F10: is replaced within 2 s by the first attempt, and the stream on it goes on', async () => {
    const agent = await kit.startAgent({
      address: { host: '127.0.0.1', port: proxy.port },
      rules: { echo: target.port },
    })
    const client = await dial(await kit.publish('berlin/echo'))
    client.socket.write('before ')
    await client.has(7)
    for (let round = 1; round <= 5; round++) {
      const seen = agent.log.length
      const began = performance.now()
      proxy.cut()
      await agent.log.until('connected', {}, seen)
      assert.ok(performance.now() - began < BACK_MS)
      client.socket.write('after  ')
      await client.has(7 + 7 * round)
    }
    client.socket.end()
    assert.match(String((await client.closed).bytes), /^before (after {2}){5}$/)
  })

  it('F10: that cannot be replaced is tried again after pauses of full jitter, from 0.5 s up to 30 s', async () => {
    const agent = await kit.startAgent({
      site: 'munich',
      effects: fastEffects(FACTOR),
      address: { host: '127.0.0.1', port: proxy.port },
    })
    const seen = agent.log.length
    proxy.close()
    const pauses = () =>
      agent.log.records
        .slice(seen)
        .flatMap(({ msg, retryMs }) => (msg === 'not connected' ? [Number(retryMs)] : []))
    await eventually(() => pauses().length >= 16, 'attempts')
    proxy.open()
    await agent.connected()
    const all = pauses()
    assert.ok(all.every((pause) => pause >= 0 && pause <= PAUSE_MS.most))
    assert.ok((all[0] ?? 0) <= PAUSE_MS.first)
    assert.ok(Math.max(...all) > PAUSE_MS.first, `${all}`)
    assert.ok(new Set(all).size > all.length / 2, `no jitter: ${all}`)
  })
})
