import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import { describe, it } from 'node:test'
import type { LiveSession } from '../../relay/gateway/sessions.ts'
import { formatLinkHeader, LINK_HEADER } from '../../shared/identity/link-header.ts'
import { encodeControl } from '../../shared/mux/encode.ts'
import { MAX_LINKS } from '../../shared/mux/link-growth.ts'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { eventually } from '../support/deadline.ts'
import { identityOf } from '../support/raw-session.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial } from '../support/tcp-kit.ts'
import { transfer, transferTarget } from './survival-kit.ts'

const MIB = 1_048_576

function agentSession(kit: RelayKit): LiveSession {
  const live = kit.relay.sessions.list().find(({ principal }) => principal.kind === 'agent')
  assert.ok(live !== undefined, 'the relay has a session of an agent')
  return live
}

/** Says what the relay's own sending says on a path that loses packets. */
function want(live: LiveSession, count: number): Promise<void> {
  live.session.control(encodeControl({ type: 'LINKS', id: 0, wanted: count }))
  return eventually(() => live.session.linkCount === count, `${count} links`)
}

/** Asks for a link as `directory`'s agent, with a header made for `session` under `key`. */
async function join(kit: RelayKit, directory: string, session: string, key: Uint8Array): Promise<unknown> {
  const socket = await dialRelay(
    kit.relay.address,
    '/v1/link',
    await identityOf(directory),
    AbortSignal.timeout(5_000),
    { [LINK_HEADER]: formatLinkHeader(session, key, randomBytes) },
  )
  return socket.destroy()
}

describe('further links of a session', () => {
  it('are brought when the relay wants them, carry bulk both ways, and go when it does not', async () => {
    await using kit = await startKit()
    await using target = await transferTarget()
    await kit.startAgent({ rules: { bulk: target.port }, sessions: 1 })
    const port = await kit.publish('berlin/bulk')
    const live = agentSession(kit)
    await want(live, 5)
    const transfers = [transferOver(port), transferOver(port)]
    await want(live, 3)
    await Promise.all(transfers)
    await want(live, 1)
    await transferOver(port)
  })

  it('are taken from nobody but the session, which proves it: IDENTITY', async () => {
    await using kit = await startKit()
    const own = await kit.startAgent({ sessions: 1 })
    const { name, linkKey } = agentSession(kit)
    assert.ok(linkKey !== undefined)
    const other = await kit.joinedDirectory('london')
    for (const [directory, session, key] of [
      [own.directory, name, randomBytes(32)],
      [own.directory, 'f'.repeat(16), linkKey],
      [other, name, linkKey],
    ] as const) {
      await assert.rejects(join(kit, directory, session, key), { code: 'IDENTITY' })
    }
    await join(kit, own.directory, name, linkKey)
  })

  it(`are ${MAX_LINKS} at most with the first: OVERLOADED`, async () => {
    await using kit = await startKit()
    const { directory } = await kit.startAgent({ sessions: 1 })
    const live = agentSession(kit)
    await want(live, MAX_LINKS)
    await assert.rejects(join(kit, directory, live.name, live.linkKey ?? randomBytes(32)), {
      code: 'OVERLOADED',
    })
  })
})

async function transferOver(port: number): Promise<void> {
  const { socket } = await dial(port)
  await transfer(socket, 12 * MIB, 12 * MIB)
}
