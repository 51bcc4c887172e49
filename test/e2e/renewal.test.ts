import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { TunnelError } from '../../shared/errors.ts'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { jumpingEffects } from '../support/clocks.ts'
import { eventually, within } from '../support/deadline.ts'
import { identityOf, openBareTunnel } from '../support/raw-session.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** The shortest life of a certificate, in ms. */
const LIFETIME_MS = 120_000

/** F14: F15: in seconds, with a calendar that is put forward; in real time in test/faults/renewals.ts. */
describe('a certificate that lives two minutes', () => {
  const effects = jumpingEffects()
  let kit: RelayKit
  let target: TcpTarget

  before(async () => {
    kit = await startKit({ effects, agentLifetimeMs: LIFETIME_MS })
    target = await echoTarget()
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await target.close()
  })

  const sessionsOf = (site: string) =>
    kit.relay.sessions.list().filter(({ principal }) => principal.kind === 'agent' && principal.site === site)

  it('is renewed before it ends: a new session stands first, and a running stream notices nothing', async () => {
    const agent = await kit.startAgent({ site: 'berlin', sessions: 1, rules: { echo: target.port } })
    const first = agent.agent.status()
    // This one renews nothing: it shows when the relay has looked at the clock.
    const idle = await kit.joinedDirectory('munich')
    const lapsing = await openBareTunnel({
      path: '/v1/agent',
      address: kit.relay.address,
      identity: await identityOf(idle),
    })
    const port = await kit.publish('berlin/echo')
    const running = await dial(port)
    running.socket.write('before ')
    await running.has(7)

    effects.jump(95_000)
    await agent.log.until('certificate renewed', { generation: 2 })
    await eventually(() => agent.agent.status().session !== first.session, 'a session of the new certificate')
    const second = agent.agent.status()
    assert.notEqual(second.fingerprint, first.fingerprint)
    assert.ok(second.certificateEnds > first.certificateEnds)
    assert.equal(sessionsOf('berlin').length, 2)
    running.socket.write('while ')
    await running.has(13)

    // Over the end of the first certificate, but not of the second.
    effects.jump(40_000)
    assert.equal((await within(lapsing.closed, 'the end of what was not renewed')).code, 'SESSION_LOST')
    await kit.log.until('session closed', { code: 'EXPIRED' })
    const identity = await identityOf(idle)
    const refused = dialRelay(kit.relay.address, '/v1/agent', identity, AbortSignal.timeout(10_000))
    await assert.rejects(refused, (error: TunnelError) => error.code === 'EXPIRED')
    running.socket.end('after')
    const { end, bytes } = await running.closed
    assert.equal(`${end} ${bytes}`, 'FIN before while after')
    await eventually(
      () => sessionsOf('berlin').length === 1,
      'the end of the first session with its last stream',
    )

    const fresh = await dial(port)
    fresh.socket.end('new')
    assert.equal(String((await fresh.closed).bytes), 'new')
    assert.equal(agent.agent.status().session, second.session)
  })

  it('that is not renewed ends its session, and its streams are reset', async () => {
    const credentials = await kit.joinedDirectory('paris')
    const tunnel = await openBareTunnel({
      path: '/v1/agent',
      address: kit.relay.address,
      identity: await identityOf(credentials),
      opening: (frame, session) => {
        session.admit(frame, {
          opened() {},
          data() {},
          ended() {},
          writable() {},
          stopped() {},
          closed() {},
        })
      },
    })
    const client = await dial(await kit.publish('paris/echo'))
    client.socket.write('hello?')
    await eventually(() => tunnel.session.streamCount === 1, 'the stream')
    effects.jump(LIFETIME_MS + 1_000)
    await within(tunnel.closed, 'the end of the session')
    assert.equal((await client.closed).end, 'RST')
  })
})
