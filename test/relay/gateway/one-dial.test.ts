import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { AgentsWorld, type AgentsWorldOptions } from './agents-world.ts'

const SEEDS = 60

/** Longer than the 15 s for an answer and the grace time after it, in ms. */
const ALL_IS_OVER_MS = 60_000

/** Which trouble there is, beside cuts. */
interface Trouble extends Omit<AgentsWorldOptions, 'seed'> {
  readonly killsRelays?: boolean
  readonly killsAgents?: boolean
}

/** Opens streams while things break, and lets all of it come to rest. */
async function run(seed: number, { killsRelays, killsAgents, ...options }: Trouble): Promise<AgentsWorld> {
  const world = new AgentsWorld({ seed, ...options })
  await world.effects.elapse(1_000)
  for (let count = 0; count < 60; count++) {
    const chance = world.effects.random()
    if (chance < 0.4) world.open()
    else if (chance < 0.5) world.cutConnector()
    else if (chance < 0.6) world.cutAgent()
    else if (chance < 0.63 && killsRelays === true) world.killRelay()
    else if (chance < 0.66 && killsAgents === true) world.killAgent(world.below(4) > 0)
    else await world.effects.elapse([0, 5, 50, 300, 1_000][world.below(5)] ?? 0)
  }
  await world.effects.elapse(ALL_IS_OVER_MS)
  world.stop()
  return world
}

/** @returns how many streams reached their target, and with what the others ended */
function outcomes(world: AgentsWorld): Map<string, number> {
  const found = new Map<string, number>()
  for (const { opener, dials } of world.opened) {
    assert.ok(dials <= 1, `dialled ${dials} times`)
    assert.notEqual(opener.closedWith, undefined, 'is over in some way')
    if (opener.closedWith === null) assert.equal(dials, 1)
    const code = opener.code ?? 'OK'
    found.set(code, (found.get(code) ?? 0) + 1)
  }
  return found
}

async function ofAll(trouble: Trouble): Promise<Map<string, number>> {
  const sum = new Map<string, number>()
  for (let seed = 1; seed <= SEEDS; seed++) {
    try {
      for (const [code, count] of outcomes(await run(seed, trouble)))
        sum.set(code, (sum.get(code) ?? 0) + count)
    } catch (error) {
      throw new Error(`seed ${seed}`, { cause: error })
    }
  }
  return sum
}

/** With these a stream was never sent anywhere, and says so. */
const NEVER_SENT = new Set(['AGENT_OFFLINE', 'DRAINING'])

function assertOnly(found: Map<string, number>, ...codes: string[]): void {
  const others = [...found.keys()].filter((code) => !NEVER_SENT.has(code) && !codes.includes(code))
  assert.deepEqual(others, [], JSON.stringify([...found]))
}

describe('an OPEN at a site with three agents', () => {
  test('is dialled once, whatever is cut between it and its answer, and never lost', async () => {
    assertOnly(await ofAll({ agents: 3, relays: 1 }), 'OK')
  })

  test('is dialled at most once where relays are killed, and else ends with UNANSWERED', async () => {
    assertOnly(await ofAll({ agents: 3, relays: 1, killsRelays: true }), 'OK', 'UNANSWERED')
  })

  test('is dialled at most once where the connector moves to another relay', async () => {
    assertOnly(await ofAll({ agents: 3, relays: 2, killsRelays: true }), 'OK', 'UNANSWERED')
  })

  test('is dialled at most once where agents are killed, and come back or not', async () => {
    const found = await ofAll({ agents: 3, relays: 1, killsAgents: true, killsRelays: true })
    // A stream whose agent died after the answer is gone with it.
    assertOnly(found, 'OK', 'UNANSWERED', 'GONE', 'SESSION_LOST', 'OPEN_TIMEOUT')
  })
})

describe('an OPEN at a site with one agent', () => {
  test('is dialled once and never lost, also where relays are killed', async () => {
    assertOnly(await ofAll({ agents: 1, relays: 2, killsRelays: true }), 'OK')
  })
})
