import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { type DarkSite, NEAR, startDarkSite } from './dark-network.ts'
import { startPart } from './part.ts'

/**
 * F32: node test/run.ts test/faults/black-holed-address.ts (40 s; Linux, root, nft)
 * Addresses of a relay that swallow every packet, beside one that works: behind one name, and as addresses of their own.
 */

/** The one that works is the last that the system's resolver would choose: the longest common prefix comes first. */
const [DEAD, DEAD_TOO, ALIVE] = NEAR.v4

/** From its start until the agent is connected, in ms. */
const CONNECT_MS = 5_000

describe('F32: a relay of which some addresses swallow every packet', () => {
  let site: DarkSite

  before(async () => {
    site = await startDarkSite(ALIVE)
  })

  after(() => site[Symbol.asyncDispose]())

  /** How long the agent takes from its first line to its first connection, in ms. */
  async function connectMs(): Promise<number> {
    const agent = startPart(['agent', 'run', '--data', site.data], { prefix: site.dark.far })
    const timeOf = (msg: string) => agent.log().find((line) => line.msg === msg)?.time as number | undefined
    try {
      await eventually(() => timeOf('connected') !== undefined, 'the agent connected', 30_000)
      return (timeOf('connected') ?? 0) - (timeOf('agent starts') ?? 0)
    } finally {
      await agent.end()
    }
  }

  async function dial(relays: readonly string[]): Promise<void> {
    const file = join(site.data, 'settings.json')
    const settings = JSON.parse(await readFile(file, 'utf8'))
    await writeFile(file, JSON.stringify({ ...settings, relays }))
  }

  it('F32: is reached within 5 s where its IPv6 leads nowhere, and the doctor names that', async () => {
    site.dark.name([`${NEAR.v6} relay.test`, `${ALIVE} relay.test`])
    site.dark.drop(['meta nfproto ipv6 tcp dport != 0 drop'])
    const ms = await connectMs()
    process.stdout.write(`    connected after ${ms} ms\n`)
    assert.ok(ms < CONNECT_MS, `${ms} ms`)
    const began = performance.now()
    const doctor = startPart(['agent', 'doctor', '--idle', '1', '--data', site.data], {
      prefix: site.dark.far,
    })
    const lines = (await text(doctor.child.stdout as NodeJS.ReadableStream))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    process.stdout.write(`    doctor done after ${Math.round(performance.now() - began)} ms\n`)
    const warning = lines.find(({ check, verdict }) => check === 'tcp' && verdict === 'WARN')
    assert.match(warning?.text, /IPv6 is announced and leads nowhere/)
    assert.equal(
      lines.some(({ verdict }) => verdict === 'FAIL'),
      false,
    )
  })

  it('F32: is reached within 5 s where two of the three addresses of its name are dead', async () => {
    site.dark.name(NEAR.v4.map((address) => `${address} relay.test`))
    site.dark.drop([`ip daddr { ${DEAD}, ${DEAD_TOO} } drop`])
    const ms = await connectMs()
    process.stdout.write(`    connected after ${ms} ms\n`)
    assert.ok(ms < CONNECT_MS, `${ms} ms`)
  })

  it('F32: is reached within 5 s where two of its three addresses in the settings are dead', async () => {
    site.dark.drop([`ip daddr { ${DEAD}, ${DEAD_TOO} } drop`])
    await dial([`${DEAD}:${site.port}`, `${DEAD_TOO}:${site.port}`, `${ALIVE}:${site.port}`])
    const ms = await connectMs()
    process.stdout.write(`    connected after ${ms} ms\n`)
    assert.ok(ms < CONNECT_MS, `${ms} ms`)
  })
})
