import assert from 'node:assert/strict'
import { randomBytes, X509Certificate } from 'node:crypto'
import { once } from 'node:events'
import type { IncomingMessage } from 'node:http'
import { after, before, describe, it } from 'node:test'
import WebSocket from 'ws'
import { realEffects } from '../../../shared/effects.ts'
import { decodeHelloOk, encodeHello } from '../../../shared/handshake/hello.ts'
import {
  decodeRefusal,
  decodeSignedHello,
  decodeSignedHelloOk,
  encodeSignedHello,
  encodeSignedHelloOk,
  NONCE_HEADER,
  parseNonce,
  SIGNED_AGENT_PATH,
} from '../../../shared/handshake/signed-hello.ts'
import { encodeControl } from '../../../shared/mux/encode.ts'
import { FrameReader } from '../../../shared/mux/frame-reader.ts'
import type { TunnelIdentity } from '../../../shared/tunnel/dial-relay.ts'
import { type Greeting, greetingFor } from '../../../shared/tunnel/greeting.ts'
import { SUBPROTOCOL } from '../../../shared/version.ts'
import { within } from '../../support/deadline.ts'
import { identityOf } from '../../support/raw-session.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

const HELLO = encodeHello({ instance: randomBytes(16) })

let kit: RelayKit
let identity: TunnelIdentity

before(async () => {
  kit = await startKit()
  identity = await identityOf(await kit.joinedDirectory())
})

after(() => kit[Symbol.asyncDispose]())

/** Greets as whoever is behind an inspector: without a client certificate. @returns the payload of the relay's answer */
async function greet(make: (nonce: Buffer) => Uint8Array): Promise<Uint8Array> {
  const socket = new WebSocket(`wss://127.0.0.1:${kit.port}${SIGNED_AGENT_PATH}`, [SUBPROTOCOL], {
    ca: identity.ca,
    perMessageDeflate: false,
  })
  socket.on('error', () => undefined)
  try {
    const open = once(socket, 'open')
    const [response] = (await within(once(socket, 'upgrade'), 'the upgrade')) as [IncomingMessage]
    const nonce = parseNonce(response.headers[NONCE_HEADER])
    assert.ok(nonce)
    const answer = new Promise<Uint8Array>((resolve) => {
      const reader = new FrameReader({
        data: () => undefined,
        control: (frame) => {
          if (frame.type === 'HELLO_OK') resolve(frame.meta)
        },
      })
      socket.on('message', (message) => reader.push(message as Buffer))
    })
    await open
    socket.send(encodeControl({ type: 'HELLO', id: 0, meta: Buffer.from(make(nonce)) }))
    return await within(answer, 'the answer')
  } finally {
    socket.terminate()
  }
}

function greeting(nonce: Buffer, who: TunnelIdentity = identity): Greeting {
  return greetingFor({ socket: undefined as never, inspected: { by: 'x', nonce } }, who, realEffects)
}

/** What the relay refuses such a greeting with. */
async function refusal(make: (nonce: Buffer) => Uint8Array): Promise<string | undefined> {
  return decodeRefusal(decodeSignedHelloOk(await greet(make)).hello)
}

describe('a signed greeting', () => {
  it('proves the agent to the relay and the relay to the agent', async () => {
    let own: Greeting | undefined
    const answer = await greet((nonce) => {
      own = greeting(nonce)
      return own.wrap(HELLO)
    })
    assert.match(decodeHelloOk(own?.unwrap(answer) ?? new Uint8Array(0)).session, /^[0-9a-f]{16}$/)
    assert.equal(
      kit.relay.sessions.find(decodeHelloOk(decodeSignedHelloOk(answer).hello).session) !== undefined,
      true,
    )
  })

  it('is not good a second time', async () => {
    let recorded: Uint8Array = new Uint8Array(0)
    await greet((nonce) => {
      recorded = greeting(nonce).wrap(HELLO)
      return recorded
    })
    assert.equal(await refusal(() => recorded), 'IDENTITY')
  })

  it('S16: is refused where anything in it was changed', async () => {
    const other = encodeHello({ instance: randomBytes(16) })
    const changed = (change: object) => (nonce: Buffer) =>
      encodeSignedHello({ ...decodeSignedHello(greeting(nonce).wrap(HELLO)), ...change })
    assert.equal(await refusal(changed({ hello: other })), 'IDENTITY')
    assert.equal(await refusal(changed({ nonce: randomBytes(32) })), 'IDENTITY')
    assert.equal(await refusal(changed({ signature: randomBytes(64) })), 'IDENTITY')
    const second = await identityOf(await kit.joinedDirectory('munich'))
    assert.equal(
      await refusal(changed({ certificate: new X509Certificate(second.certificate).raw })),
      'IDENTITY',
    )
    assert.equal(await refusal(changed({ certificate: randomBytes(300) })), 'IDENTITY')
  })

  it('is bound to the name of the relay', async () => {
    const elsewhere = { ...identity, serverName: 'other.example' }
    assert.equal(await refusal((nonce) => greeting(nonce, elsewhere).wrap(HELLO)), 'IDENTITY')
  })

  it('is for agents only', async () => {
    const connector = await kit.credentials('dev', 'berlin/db')
    assert.equal(await refusal((nonce) => greeting(nonce, connector).wrap(HELLO)), 'IDENTITY')
  })

  it('is refused as a certificate would be once the agent was revoked', async () => {
    const revoked = await identityOf(await kit.joinedDirectory('paris'))
    const [, agentId = ''] =
      /agent\/([a-z2-7]{26})/.exec(new X509Certificate(revoked.certificate).subjectAltName ?? '') ?? []
    await kit.command('agent.revoke', { agent: agentId })
    let own: Greeting | undefined
    const answer = await greet((nonce) => {
      own = greeting(nonce, revoked)
      return own.wrap(HELLO)
    })
    assert.throws(() => own?.unwrap(answer), { code: 'REVOKED' })
  })

  it("is not believed by the agent where the answer is not the relay's own", async () => {
    let own: Greeting | undefined
    const answer = decodeSignedHelloOk(
      await greet((nonce) => {
        own = greeting(nonce)
        return own.wrap(HELLO)
      }),
    )
    const agentCertificate = new X509Certificate(identity.certificate).raw
    for (const change of [
      { hello: HELLO },
      { signature: randomBytes(64) },
      // Signed by the same CA, but for an agent.
      { certificate: agentCertificate },
      { certificate: new X509Certificate(identity.ca).raw },
    ]) {
      assert.throws(() => own?.unwrap(encodeSignedHelloOk({ ...answer, ...change })), {
        code: 'RELAY_IDENTITY',
      })
    }
    const later = greeting(randomBytes(32))
    later.wrap(HELLO)
    assert.throws(() => later.unwrap(encodeSignedHelloOk(answer)), { code: 'RELAY_IDENTITY' })
  })

  it('leaves the connection pending until it is there', async () => {
    const socket = new WebSocket(`wss://127.0.0.1:${kit.port}${SIGNED_AGENT_PATH}`, [SUBPROTOCOL], {
      ca: identity.ca,
      perMessageDeflate: false,
    })
    socket.on('error', () => undefined)
    const before = kit.relay.admission.counts.pending
    await within(once(socket, 'open'), 'the upgrade')
    assert.equal(kit.relay.admission.counts.pending, before + 1)
    socket.terminate()
  })
})
