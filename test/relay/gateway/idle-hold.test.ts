import assert from 'node:assert/strict'
import { test } from 'node:test'
import { dialRelay, type TunnelIdentity } from '../../../shared/tunnel/dial-relay.ts'
import { eventually } from '../../support/deadline.ts'
import { identityOf } from '../../support/raw-session.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { type TcpEnd, tcpEnd } from '../../support/tcp-kit.ts'

/** A masked PING of RFC 6455 with an empty mask and the payload `idle`, and the PONG for it. */
const PING = Buffer.from('898400000000' + '69646c65', 'hex')
const PONG = Buffer.from('8a04' + '69646c65', 'hex')

async function hold(kit: RelayKit, identity: TunnelIdentity): Promise<TcpEnd> {
  const end = tcpEnd(await dialRelay(kit.relay.address, '/v1/idle', identity, AbortSignal.timeout(10_000)))
  end.socket.resume()
  return end
}

/** Waits for the CLOSE frame with this reason. */
function hears(end: TcpEnd, reason: string): Promise<void> {
  return eventually(() => end.received().includes(reason), `a CLOSE that says ${reason}`)
}

test('the relay holds a silent connection for an agent, answers its PING, and says nothing else', async () => {
  await using kit = await startKit()
  const identity = await identityOf(await kit.joinedDirectory())
  const end = await hold(kit, identity)
  end.socket.write(PING)
  await end.has(PONG.length)
  assert.deepEqual(end.received(), PONG)
  assert.equal(kit.relay.sessions.list().length, 0)
  end.socket.destroy()
})

test('a message ends it, and so does the end of the relay', async () => {
  await using kit = await startKit()
  const identity = await identityOf(await kit.joinedDirectory())
  const talker = await hold(kit, identity)
  talker.socket.write(Buffer.from('828100000000' + '00', 'hex'))
  await hears(talker, 'PROTOCOL')
  const quiet = await hold(kit, identity)
  await kit.stopRelay()
  await hears(quiet, 'DRAINING')
})

test('connectors and revoked agents are not held', async () => {
  await using kit = await startKit()
  const directory = await kit.joinedDirectory()
  const agent = await identityOf(directory)
  const connector = await kit.credentials('app', 'berlin/db')
  await assert.rejects(hold(kit, connector), { code: 'IDENTITY' })
  const held = await hold(kit, agent)
  await kit.command('agent.revoke', { agent: 'berlin' })
  await hears(held, 'REVOKED')
  await assert.rejects(hold(kit, agent), { code: 'REVOKED' })
})

test('an agent gets sixteen of them', async () => {
  await using kit = await startKit()
  const identity = await identityOf(await kit.joinedDirectory())
  const held = []
  for (let count = 0; count < 16; count++) held.push(await hold(kit, identity))
  const tooMany = await hold(kit, identity)
  await hears(tooMany, 'OVERLOADED')
  for (const { socket } of held) socket.destroy()
})
