import assert from 'node:assert/strict'
import { once } from 'node:events'
import { after, before, describe, it } from 'node:test'
import type { Resolver } from '../../agent/dial/resolve.ts'
import type { Connector, TunnelDuplex } from '../../connector/index.ts'
import type { TunnelError } from '../../shared/errors.ts'
import { eventually, within } from '../support/deadline.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** How soon a change of the rules must show, in ms. */
const SOON_MS = 2_000

/** `hung.test` never answers; every other name is this host. */
const resolver: Resolver = {
  resolve: (host, signal) =>
    host === 'hung.test'
      ? new Promise((_resolve, reject) => {
          signal.addEventListener('abort', () => reject(signal.reason as Error))
        })
      : Promise.resolve(['127.0.0.1']),
  forget() {},
}

describe('the rules of the site decide, whatever runs', () => {
  let kit: RelayKit
  let first: TcpTarget
  let second: TcpTarget
  let agent: TestAgent
  let connector: Connector

  before(async () => {
    kit = await startKit()
    first = await echoTarget()
    second = await echoTarget()
    agent = await kit.startAgent({ rules: { one: first.port, two: second.port }, resolver })
    const names = ['one', 'two', 'three', 'inside', 'hung'].map((name) => `berlin/${name}`)
    connector = await kit.connect(await kit.credentials('dev', ...names))
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await first.close()
    await second.close()
  })

  const open = async (resource: string): Promise<TunnelDuplex> => {
    const duplex = connector.connect(`berlin/${resource}`)
    await within(once(duplex, 'connect'), `a stream to ${resource}`)
    // A test that lets it be does not look at its end.
    return duplex.on('error', () => undefined)
  }

  const codeOf = async (resource: string): Promise<string> => {
    const duplex = connector.connect(`berlin/${resource}`)
    const outcome = Promise.race([
      once(duplex, 'connect').then(() => 'OK'),
      once(duplex, 'error').then(([error]) => (error as TunnelError).code),
    ])
    const code = await within(outcome, `a stream to ${resource}`).catch((error: TunnelError) => error.code)
    duplex.on('error', () => undefined).destroy()
    return code
  }

  const echoes = async (duplex: TunnelDuplex, text: string) => {
    duplex.write(text)
    const [answer] = await within(once(duplex, 'data'), 'an echo')
    assert.equal(String(answer), text)
  }

  it('a rule that is added opens its resource within two seconds, without a restart', async () => {
    assert.equal(await codeOf('three'), 'DENIED_BY_SITE')
    await agent.writeRules({ one: first.port, two: second.port, three: second.port })
    await eventually(async () => (await codeOf('three')) === 'OK', 'the new rule', SOON_MS)
  })

  it('S25: a rule that is taken away resets its streams within two seconds and touches no others', async () => {
    await agent.writeRules({ one: first.port, two: second.port })
    await agent.log.until('rules changed')
    const doomed = await open('one')
    const kept = await open('two')
    const listener = await dial(await kit.publish('berlin/one'))
    listener.socket.write('x')
    await listener.has(1)
    await echoes(doomed, 'before')
    await echoes(kept, 'before')
    await agent.writeRules({ two: second.port })
    const [error] = await within(once(doomed, 'error'), 'the reset', SOON_MS)
    assert.equal((error as TunnelError).code, 'DENIED_BY_SITE')
    assert.equal((await listener.closed).end, 'RST')
    await echoes(kept, 'after')
    assert.equal(await codeOf('one'), 'DENIED_BY_SITE')
    kept.destroy()
  })

  it('S25: a rule that now leads elsewhere resets the streams to where it led', async () => {
    const doomed = await open('two')
    await agent.writeRules({ two: first.port })
    const [error] = await within(once(doomed, 'error'), 'the reset', SOON_MS)
    assert.equal((error as TunnelError).code, 'DENIED_BY_SITE')
    const accepted = first.accepted
    await echoes(await open('two'), 'there')
    assert.equal(first.accepted, accepted + 1)
  })

  it('S24: loopback is denied without allow_loopback, by number and by a name that leads there', async () => {
    const rule = (host: string) => `protocol = "tcp"\nhost = "${host}"\nport = ${first.port}`
    const before = agent.log.length
    await agent.writeRules({ inside: rule('127.0.0.1'), one: rule('looks-harmless.test') })
    await agent.log.until('rules changed', {}, before)
    const accepted = first.accepted
    assert.equal(await codeOf('inside'), 'DENIED_BY_SITE')
    assert.equal(await codeOf('one'), 'DENIED_BY_SITE')
    assert.equal(first.accepted, accepted)
  })

  it('a file that is broken keeps the last good rules in force, and the status says so', async () => {
    const good = { two: second.port }
    const before = agent.log.length
    await agent.writeRules(good)
    await agent.log.until('rules changed', {}, before)
    const stream = await open('two')
    await agent.writeRules({ ...good, bad: 'protocol = "smoke"' })
    await eventually(() => agent.agent.status().rulesError !== undefined, 'the fault in the status', SOON_MS)
    await echoes(stream, 'still here')
    assert.equal(await codeOf('two'), 'OK')
    await agent.writeRules({ ...good, one: first.port })
    await eventually(() => agent.agent.status().rulesError === undefined, 'the end of the fault', SOON_MS)
    stream.destroy()
  })

  it('a name that never resolves holds up nobody else', async () => {
    const hung = `protocol = "tcp"\nhost = "hung.test"\nport = 5432`
    const before = agent.log.length
    await agent.writeRules({ two: second.port, hung })
    await agent.log.until('rules changed', {}, before)
    const waiting = Array.from({ length: 50 }, () => {
      const duplex = connector.connect('berlin/hung')
      duplex.on('error', () => undefined).on('connect', () => assert.fail('it was opened'))
      return duplex
    })
    const began = performance.now()
    for (let round = 0; round < 20; round++) {
      const stream = await open('two')
      await echoes(stream, 'quick')
      stream.destroy()
    }
    assert.ok(performance.now() - began < 2_000)
    for (const duplex of waiting) {
      assert.equal(duplex.destroyed, false)
      duplex.destroy()
    }
    await eventually(() => agent.agent.status().streams === 0, 'the end of what waited')
  })
})
