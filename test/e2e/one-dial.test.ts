import assert from 'node:assert/strict'
import { once } from 'node:events'
import type { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import type { Connector } from '../../connector/index.ts'
import type { Effects } from '../../shared/effects.ts'
import type { TunnelError } from '../../shared/errors.ts'
import { fastEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { type HoldingProxy, startHoldingProxy } from '../support/holding-proxy.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { dial, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** Clocks of this speed let the grace time pass in 1.5 s. */
const FACTOR = 20

const WORDS = Buffer.from('said before anybody answered')

const at = (port: number) => ({ host: '127.0.0.1', port })

/** An agent with a way of its own to the relay and a target of its own. */
interface Member {
  readonly way: HoldingProxy
  readonly target: TcpTarget
  agent: TestAgent
}

/** A site with two agents, and a connector on a way that can be held, too. */
class Site implements AsyncDisposable {
  readonly kit: RelayKit
  readonly way: HoldingProxy
  readonly members: readonly Member[]
  readonly connector: Connector

  constructor(kit: RelayKit, way: HoldingProxy, members: readonly Member[], connector: Connector) {
    this.kit = kit
    this.way = way
    this.members = members
    this.connector = connector
  }

  get dials(): number {
    return this.members.reduce((sum, { target }) => sum + target.accepted, 0)
  }

  /** Waits for the first dial. @returns who dialled, and who did not */
  async dialled(): Promise<readonly [Member, Member]> {
    await eventually(() => this.dials === 1, 'a dial')
    const [first, second] = this.members as [Member, Member]
    return first.target.accepted === 1 ? [first, second] : [second, first]
  }

  /** The answers of both agents do not reach the relay. */
  holdAnswers(): void {
    for (const { way } of this.members) way.hold('client')
  }

  /** How many agents the relay has. */
  agentsThere(count: number): Promise<void> {
    const there = () =>
      this.kit.relay.sessions
        .list()
        .flatMap(({ principal }) => (principal.kind === 'agent' ? [principal.id] : []))
    return eventually(() => new Set(there()).size === count, `${count} agents at the relay`)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { way } of this.members) way.open()
    await this.kit[Symbol.asyncDispose]()
    for (const { way, target } of this.members) {
      await way[Symbol.asyncDispose]()
      await target.close()
    }
    await this.way[Symbol.asyncDispose]()
  }
}

async function startMember(kit: RelayKit): Promise<Member> {
  const [way, target] = await Promise.all([startHoldingProxy(kit.port), echo()])
  const agent = await kit.startAgent({
    effects: fastEffects(5),
    sessions: 1,
    address: at(way.port),
    rules: { echo: target.port },
  })
  return { way, target, agent }
}

async function startSite(effects?: Effects): Promise<Site> {
  const kit = await startKit()
  const way = await startHoldingProxy(kit.port)
  const members = await Promise.all([startMember(kit), startMember(kit)])
  const credentials = await kit.credentials('dev', 'berlin/echo')
  const addresses = [at(way.port)]
  const connector = await kit.connect({ ...credentials, addresses }, effects === undefined ? {} : { effects })
  return new Site(kit, way, members, connector)
}

const echo = () => listenTarget((socket) => socket.pipe(socket))

/** Says something before it is known whether anybody listens. */
function begin(connector: Connector): Duplex {
  const duplex = connector.connect('berlin/echo')
  duplex.on('error', () => undefined)
  duplex.end(WORDS)
  return duplex
}

async function heardAgain(duplex: Duplex): Promise<void> {
  const chunks: Buffer[] = []
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk))
  await within(once(duplex, 'end'), 'the echo', 20_000)
  assert.deepEqual(Buffer.concat(chunks), WORDS)
}

/** The code and the detail of the error with which it ends. */
async function failure(duplex: Duplex): Promise<readonly [string, string]> {
  const [{ code, detail }] = (await within(once(duplex, 'error'), 'an error')) as [TunnelError]
  return [code, detail]
}

describe('an OPEN at a site with two agents whose answer is lost', () => {
  it('between relay and connector is asked for again at the agent that dialled', async () => {
    await using site = await startSite()
    site.way.hold('relay')
    const duplexes = Array.from({ length: 4 }, () => begin(site.connector))
    await eventually(() => site.members.every(({ target }) => target.accepted === 2), 'two dials each')
    site.way.close()
    site.way.open()
    await Promise.all(duplexes.map(heardAgain))
    assert.equal(site.dials, 4)
  })

  for (const road of ['connector', 'listener'] as const) {
    it(`between agent and relay waits for that agent while the other is there (${road})`, async () => {
      await using site = await startSite()
      const port = await site.kit.publish('berlin/echo')
      site.holdAnswers()
      const duplex = road === 'connector' ? begin(site.connector) : (await dial(port)).socket
      if (road === 'listener') duplex.end(WORDS)
      const [mine, other] = await site.dialled()
      mine.way.close()
      other.way.close()
      other.way.open()
      await site.agentsThere(0)
      await site.agentsThere(1)
      mine.way.open()
      await heardAgain(duplex)
      assert.equal(site.dials, 1)
    })
  }

  it('with a relay that is started anew is asked for again at the agent that the relay had named', async () => {
    await using site = await startSite()
    site.holdAnswers()
    const duplex = begin(site.connector)
    await site.dialled()
    for (const { way } of site.members) way.close()
    site.way.close()
    await site.kit.stopRelay()
    await site.kit.startAgain()
    for (const { way } of site.members) way.open()
    site.way.open()
    await heardAgain(duplex)
    assert.equal(site.dials, 1)
  })

  it('with a relay that had named no agent yet ends with UNANSWERED', async () => {
    await using site = await startSite()
    site.way.hold('relay')
    const failed = failure(begin(site.connector))
    await site.dialled()
    site.way.close()
    await site.kit.stopRelay()
    await site.kit.startAgain()
    site.way.open()
    assert.deepEqual(await failed, ['UNANSWERED', 'several agents may have been asked'])
    assert.equal(site.dials, 1)
  })

  it('ends with UNANSWERED as soon as its agent is back as another process', async () => {
    await using site = await startSite()
    site.holdAnswers()
    const failed = failure(begin(site.connector))
    const [mine] = await site.dialled()
    mine.way.close()
    await mine.agent.stop()
    mine.way.open()
    mine.agent = await site.kit.startAgent({ directory: mine.agent.directory, sessions: 1 })
    assert.deepEqual(await failed, ['UNANSWERED', 'the agent was started anew'])
    assert.equal(site.dials, 1)
  })

  it('ends with UNANSWERED after the grace time where its agent does not come back', async () => {
    await using site = await startSite(fastEffects(FACTOR))
    site.holdAnswers()
    const failed = failure(begin(site.connector))
    const [mine] = await site.dialled()
    mine.way.close()
    assert.equal((await failed)[0], 'UNANSWERED')
    assert.equal(site.dials, 1)
  })
})
