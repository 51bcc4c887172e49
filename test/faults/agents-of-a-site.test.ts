import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import net from 'node:net'
import type { Duplex } from 'node:stream'
import { describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { Connector, isTunnelError } from '../../connector/index.ts'
import { parseCredentials } from '../../shared/identity/credentials.ts'
import { eventually, within } from '../support/deadline.ts'
import { listenTarget } from '../support/tcp-kit.ts'
import { startWorld, type World, type WorldAgent } from './world.ts'

/**
 * F01: two agents of a site, each in a process of its own, under load: one is killed, told to stop, or killed while the relay
 * drains. New streams go to the other, and whatever was on the one that is gone ends with a reason.
 */

/** Streams that are there all the time, by the connector and by the relay's listener. */
const HELD = { connector: 12, listener: 6 } as const

/** How long a new stream may take while an agent is gone, in ms: on a machine that does other things too. */
const TALK_MS = 4_000

/** How soon after the loss new streams must go elsewhere, in ms. */
const NOTICED_MS = 250

/** How soon what was on an agent has ended after its return, in ms. */
const ENDED_MS = 8_000

interface Talk {
  readonly began: number
  readonly ms: number
  readonly code: string
}

const codeOf = (error: unknown) => (isTunnelError(error) ? error.code : (error as { code: string }).code)

/** A service that says who it is and then repeats what it hears. */
const serviceOf = (name: string) =>
  listenTarget((socket) => {
    socket.write(name)
    socket.pipe(socket)
  })

/** Says something and hears it again, behind the name of the service. */
async function talk(open: () => Duplex): Promise<Talk> {
  const began = performance.now()
  const result = (code: string) => ({ began, ms: performance.now() - began, code })
  const duplex = open()
  let heard = ''
  duplex.on('data', (chunk: Buffer) => {
    heard += chunk.toString()
  })
  duplex.end('question')
  try {
    await within(once(duplex, 'end'), 'the end of a talk', 60_000)
    return result(/^[AB]question$/.test(heard) ? 'OK' : `heard ${heard}`)
  } catch (error) {
    return result(codeOf(error))
  }
}

/** A stream that stays. */
interface Held {
  /** Whose service is at its end. */
  readonly at: string
  /** Undefined while it lives. */
  code: string | undefined
  /** True where it still repeats what it hears. */
  repeats(): Promise<boolean>
}

async function hold(duplex: Duplex): Promise<Held> {
  const chunks: string[] = []
  const held: { -readonly [Key in keyof Held]: Held[Key] } = {
    at: '',
    code: undefined,
    async repeats() {
      duplex.write('again')
      await eventually(() => chunks.join('').endsWith('again') || held.code !== undefined, 'an echo')
      return held.code === undefined
    },
  }
  duplex.on('data', (chunk: Buffer) => chunks.push(chunk.toString()))
  duplex.on('error', (error) => {
    held.code = codeOf(error)
  })
  duplex.on('close', () => {
    held.code ??= 'closed'
  })
  await eventually(() => chunks.length > 0, 'the name of a service')
  held.at = chunks[0] ?? ''
  return held
}

/** A site with the agents A and B, and streams to both. */
class Site {
  readonly world: World
  readonly a: WorldAgent
  readonly held: readonly Held[]
  readonly connector: Connector
  readonly #talks: Promise<readonly Talk[]>[]
  readonly #stop = new AbortController()

  constructor(world: World, a: WorldAgent, connector: Connector, port: number, held: readonly Held[]) {
    this.world = world
    this.a = a
    this.connector = connector
    this.held = held
    this.#talks = Array.from({ length: 8 }, (_, index) =>
      this.#talkOn(() =>
        index % 4 === 0 ? net.connect(port, '127.0.0.1') : connector.connect('berlin/echo'),
      ),
    )
  }

  heldAt(name: string): readonly Held[] {
    return this.held.filter(({ at }) => at === name)
  }

  /** Ends the load. @returns all short talks */
  async rest(): Promise<readonly Talk[]> {
    this.#stop.abort()
    return (await Promise.all(this.#talks)).flat()
  }

  async #talkOn(open: () => Duplex): Promise<readonly Talk[]> {
    const talks: Talk[] = []
    while (!this.#stop.signal.aborted) {
      talks.push(await talk(open))
      await sleep(25)
    }
    return talks
  }
}

async function startSite(world: World, targets: { readonly A: number; readonly B: number }): Promise<Site> {
  const agents = await Promise.all(
    [targets.A, targets.B].map((echo) => world.startAgent({ targets: { echo } })),
  )
  const port = await world.publish('berlin/echo')
  const text = await readFile(await world.credentials('dev', 'berlin/echo'), 'utf8')
  const connector = new Connector({ credentials: parseCredentials(text) })
  await connector.ready()
  const held = await Promise.all([
    ...Array.from({ length: HELD.connector }, () => hold(connector.connect('berlin/echo'))),
    ...Array.from({ length: HELD.listener }, () => hold(net.connect(port, '127.0.0.1'))),
  ])
  const [a] = agents as [WorldAgent, WorldAgent]
  const site = new Site(world, a, connector, port, held)
  for (const name of ['A', 'B']) assert.ok(site.heldAt(name).length >= 3, `streams at ${name}`)
  return site
}

async function withSite(use: (site: Site) => Promise<void>): Promise<void> {
  await using a = await serviceOf('A')
  await using b = await serviceOf('B')
  await using world = await startWorld()
  const site = await startSite(world, { A: a.port, B: b.port })
  try {
    await use(site)
  } finally {
    await site.connector.close()
    await site.rest()
  }
}

function assertCodes(codes: readonly string[], ...expected: string[]): void {
  assert.deepEqual(
    codes.filter((code) => !expected.includes(code)),
    [],
  )
}

const over = (held: readonly Held[]) =>
  eventually(() => held.every(({ code }) => code !== undefined), 'the end of each', ENDED_MS)

describe('F01: one of two agents of a site, under load', () => {
  it('F01: is killed: new streams go to the other at once, its own end with a reason when it is back', async () => {
    await withSite(async (site) => {
      await sleep(500)
      await site.a.part.end('SIGKILL')
      const killedAt = performance.now()
      await sleep(1_500)
      const backAt = performance.now()
      await site.a.again()
      await site.a.connected()
      await over(site.heldAt('A'))
      for (const held of site.heldAt('B')) assert.ok(await held.repeats())
      const talks = await site.rest()
      const meanwhile = talks.filter(({ began }) => began > killedAt + NOTICED_MS && began < backAt)
      assert.ok(meanwhile.length > 20, `${meanwhile.length} talks while it was gone`)
      assertCodes(
        meanwhile.map(({ code }) => code),
        'OK',
      )
      assert.ok(Math.max(...meanwhile.map(({ ms }) => ms)) < TALK_MS)
      assertCodes(
        site.heldAt('A').map(({ code }) => code ?? ''),
        'GONE',
        'ECONNRESET',
      )
      assertCodes(
        talks.map(({ code }) => code),
        'OK',
        'GONE',
        'UNANSWERED',
        'ECONNRESET',
      )
    })
  })

  it('F01: is told to stop: no new stream fails, and what it had ends with a reason when its time is over', async () => {
    await withSite(async (site) => {
      await sleep(500)
      assert.equal(await site.a.part.end('SIGTERM'), 0)
      await over(site.heldAt('A'))
      for (const held of site.heldAt('B')) assert.ok(await held.repeats())
      assertCodes(
        site.heldAt('A').map(({ code }) => code ?? ''),
        'SESSION_LOST',
        'ECONNRESET',
      )
      assertCodes(
        (await site.rest()).map(({ code }) => code),
        'OK',
      )
    })
  })

  it('F01: is killed while the relay drains and is started anew: what the other has goes on, the rest ends, nothing hangs', async () => {
    await withSite(async (site) => {
      await sleep(500)
      const { relay } = site.world
      relay.child.kill('SIGTERM')
      await site.a.part.end('SIGKILL')
      await sleep(500)
      // The second time it does not wait for its streams any more.
      await relay.end('SIGTERM')
      await Promise.all([site.world.startRelay(), site.a.again()])
      await site.a.connected()
      await over(site.heldAt('A'))
      const ofConnector = site.held.slice(0, HELD.connector).filter(({ at }) => at === 'B')
      for (const held of ofConnector) assert.ok(await held.repeats())
      const backAt = performance.now()
      await eventually(
        async () => (await talk(() => site.connector.connect('berlin/echo'))).code === 'OK',
        'a talk',
      )
      assert.ok(performance.now() - backAt < TALK_MS)
      const talks = await site.rest()
      assert.ok(Math.max(...talks.map(({ ms }) => ms)) < 30_000, 'nothing hung')
    })
  })
})
