import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { type DarkSite, NEAR, startDarkSite } from './dark-network.ts'
import { startPart } from './part.ts'

/**
 * F09: node test/run.ts test/faults/idle-cutoff.ts (4 min; Linux, root, nft)
 * A stateful firewall that forgets a connection after 12 s of silence and then drops what belongs to none that it knows.
 */

const FORGETS_SECONDS = 12

describe('F09: a firewall that forgets silent connections', () => {
  let site: DarkSite

  before(async () => {
    site = await startDarkSite(NEAR.v4[0])
    const { dark } = site
    dark.drop([
      'tcp flags & (syn | ack) == syn accept',
      'ct state established accept',
      'meta l4proto tcp drop',
    ])
    dark.set('net.netfilter.nf_conntrack_tcp_loose', '0')
    dark.set('net.netfilter.nf_conntrack_tcp_timeout_established', String(FORGETS_SECONDS))
  })

  after(() => site[Symbol.asyncDispose]())

  it('F09: costs a running agent a few sessions, and then none', async () => {
    const agent = startPart(['agent', 'run', '--data', site.data], { prefix: site.dark.far })
    const has = (msg: string) => agent.log().some((line) => line.msg === msg)
    try {
      await eventually(
        () => has('the path cuts idle connections, so the agent asks more often'),
        'it adapts',
        120_000,
      )
      // Sessions that go by the old interval have ended when this is over.
      await new Promise((resolve) => setTimeout(resolve, 25_000))
      const lines = agent.log().length
      await new Promise((resolve) => setTimeout(resolve, 3 * FORGETS_SECONDS * 1_000))
      assert.deepEqual(
        agent
          .log()
          .slice(lines)
          .map(({ msg }) => msg),
        [],
      )
    } finally {
      await agent.end()
    }
  })

  it('F09: is found by the doctor, which has the next agent ask in time', async () => {
    const doctor = startPart(['agent', 'doctor', '--idle', '30', '--data', site.data], {
      prefix: site.dark.far,
    })
    const lines = (await text(doctor.child.stdout as NodeJS.ReadableStream))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const idle = lines.find(({ check }) => check === 'idle')
    process.stdout.write(`    ${idle?.text}\n`)
    assert.match(idle?.text, /after 10 s to 15 s, without a word/)
    const { pingIntervalMs } = JSON.parse(await readFile(join(site.data, 'settings.json'), 'utf8'))
    assert.ok(pingIntervalMs * 1.2 < FORGETS_SECONDS * 1_000, `${pingIntervalMs}`)
    const agent = startPart(['agent', 'run', '--data', site.data], { prefix: site.dark.far })
    try {
      await eventually(
        () => agent.log().some(({ msg }) => msg === 'connected'),
        'the agent connected',
        30_000,
      )
      await new Promise((resolve) => setTimeout(resolve, 4 * FORGETS_SECONDS * 1_000))
      assert.equal(
        agent.log().some(({ level }) => Number(level) > 30),
        false,
        agent.err(),
      )
    } finally {
      await agent.end()
    }
  })
})
