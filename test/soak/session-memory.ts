import { fork } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import type { TunnelIdentity } from '../../shared/tunnel/dial-relay.ts'
import { eventually } from '../support/deadline.ts'
import { identityOf, openBareTunnel } from '../support/raw-session.ts'
import { startKit } from '../support/relay-kit.ts'

/**
 * node --expose-gc test/soak/session-memory.ts [AGENTS]: what a second session of each agent costs the relay. The relay is this
 * process; so many agents (200 by default) in another one open one idle session each and then a second one each. Prints the
 * relay's memory after each step.
 */

interface Order {
  readonly address: RelayAddress
  readonly directories: readonly string[]
}

/** How many greet at a time. */
const AT_ONCE = 20

/** Time for what was freed to be given back, in ms. */
const SETTLE_MS = 3_000

async function openSessions({ address, directories }: Order): Promise<void> {
  const agents: { identity: TunnelIdentity; instance: Buffer; held: string[] }[] = []
  for (const directory of directories) {
    agents.push({ identity: await identityOf(directory), instance: randomBytes(16), held: [] })
  }
  for (;;) {
    for (let at = 0; at < agents.length; at += AT_ONCE) {
      const opened = agents.slice(at, at + AT_ONCE).map(async (agent) => {
        const tunnel = await openBareTunnel({ path: '/v1/agent', address, ...agent })
        agent.held.push(tunnel.relay.session)
      })
      await Promise.all(opened)
    }
    process.send?.('opened')
    await once(process, 'message')
  }
}

async function settle(): Promise<void> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.()
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS / 3))
  }
}

async function measure(count: number): Promise<void> {
  if (globalThis.gc === undefined) throw new Error('run it with node --expose-gc')
  const limits = { enrollmentsPerMinute: 1_000_000, tunnelsPerSecond: 1_000, tunnelBurst: 1_000 }
  await using kit = await startKit({ limits })
  const directories: string[] = []
  for (let index = 0; index < count; index++) directories.push(await kit.joinedDirectory(`site-${index}`))
  const child = fork(fileURLToPath(import.meta.url), [], { execArgv: [] })
  try {
    child.send({ address: kit.relay.address, directories } satisfies Order)
    let before: NodeJS.MemoryUsage | undefined
    for (const sessions of [0, count, count * 2]) {
      if (sessions > 0) {
        await once(child, 'message')
        await eventually(() => kit.relay.sessions.list().length === sessions, `${sessions} sessions`)
      }
      await settle()
      const now = process.memoryUsage()
      const each = (kind: 'rss' | 'heapUsed' | 'external') =>
        before === undefined ? '' : ` (${((now[kind] - before[kind]) / 1024 / count).toFixed(1)} KiB each)`
      const mib = (bytes: number) => (bytes / 1_048_576).toFixed(1)
      process.stdout.write(
        `${sessions} sessions: RSS ${mib(now.rss)} MiB${each('rss')}, heap ${mib(now.heapUsed)} MiB${each('heapUsed')}\n`,
      )
      before = now
      if (sessions === count) child.send('more')
    }
  } finally {
    child.kill()
  }
}

if (process.send === undefined) await measure(Number(process.argv[2] ?? 200))
else {
  const [order] = (await once(process, 'message')) as [Order]
  await openSessions(order)
}
