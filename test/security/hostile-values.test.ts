import assert from 'node:assert/strict'
import { request } from 'node:https'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { encode } from 'cborg'
import { isTunnelError, wireFromCode } from '../../shared/errors.ts'
import { encodeHello } from '../../shared/handshake/hello.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { ENROLL_PATH } from '../../shared/identity/enrollment-messages.ts'
import { encodeControl } from '../../shared/mux/encode.ts'
import { INITIAL_CREDIT } from '../../shared/mux/frame.ts'
import { connectHostile } from '../support/hostile-peer.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'

/**
 * S21: values that lead careless code astray, in JSON bodies, in CBOR and over the control channel: names of
 * Object.prototype, keys that come twice, numbers beyond all bounds, nestings without end. JSON keys that come twice count
 * once, the last; there is one reader only, so no two can differ.
 */

const PROTOCOL_ERROR = 1002

/** Each is no right body, whatever the rest of it says. */
const BODIES: Record<string, string> = {
  'a prototype': '{"__proto__":{"token":"x"}}',
  'a prototype beside right keys': JSON.stringify(right()).replace('{', '{"__proto__":{"admin":true},'),
  'a constructor': JSON.stringify(right()).replace('{', '{"constructor":{"prototype":{"admin":true}},'),
  'a number for a text': JSON.stringify(right()).replace(/"version":"[^"]*"/, '"version":1e999'),
  'a list for a text': JSON.stringify({ ...right(), token: ['a'.repeat(43)] }),
  'an object for a text': JSON.stringify({ ...right(), token: { length: 43 } }),
  'a list': '[]',
  nothing: 'null',
  'a nesting of 16,000': '['.repeat(16_000) + ']'.repeat(16_000),
  'a nesting of objects': `${'{"a":'.repeat(6_000)}1${'}'.repeat(6_000)}`,
  'no end': '{"token":"',
  'a key that comes twice, wrong at last': JSON.stringify(right()).replace('}', ',"token":1}'),
  'a byte order mark': `\ufeff${JSON.stringify(right())}`,
  'half of a surrogate pair': JSON.stringify({ ...right(), version: '\ud800' }),
}

function right() {
  return { token: 'a'.repeat(43), csr: 'x', version: '0.1.0', instance: 'test' }
}

/** CBOR items in the place of a map that would be right. */
function cborOf(map: Readonly<Record<string, unknown>>): Record<string, Uint8Array> {
  const entries = Object.entries(map)
  const plus = (key: string, value: unknown) => encode(new Map([...entries, [key, value]]))
  const whole = encode(map)
  return {
    'a key that comes twice': Uint8Array.from([0xa2, ...encode('x'), 1, ...encode('x'), 2]),
    'a list in place of a map': encode(entries),
    'something behind it': Uint8Array.from([...whole, 0]),
    'an indefinite length': Uint8Array.from([0xbf, ...whole.subarray(1), 0xff]),
    'a nesting of 1,500': Uint8Array.from([...Array<number>(1_500).fill(0x81), 0x80]),
    'keys that are no texts': encode(new Map([[1, 2]])),
    'a length that is not there': Uint8Array.of(0xbb, 0, 0, 0, 1, 0, 0, 0, 0),
    nothing: new Uint8Array(0),
    'a prototype in place of all keys': Uint8Array.from([0xa1, ...encode('__proto__'), ...whole]),
    'not a number': plus('versions', [Number.NaN, Number.NaN]),
  }
}

describe('S21: values that lead astray', () => {
  let kit: RelayKit
  let credentials: ConnectorCredentials

  before(async () => {
    kit = await startKit({ limits: { enrollmentsPerMinute: 1_000 } })
    credentials = await kit.credentials('hostile', 'berlin/echo')
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    assert.equal(({} as { admin?: unknown }).admin, undefined, 'the prototype of all objects was changed')
  })

  const enroll = (body: string) =>
    new Promise<{ status: number | undefined; body: string }>((resolve, reject) => {
      const ca = kit.relay.authority.authority.certificate.toString()
      const outgoing = request({ host: '127.0.0.1', port: kit.port, ca, path: ENROLL_PATH, method: 'POST' })
      outgoing.on('error', reject)
      outgoing.on('response', (answer) => {
        text(answer).then((body) => resolve({ status: answer.statusCode, body }), reject)
      })
      outgoing.end(body)
    })

  for (const [name, body] of Object.entries(BODIES)) {
    it(`a JSON body with ${name}: 400`, async () => {
      const answer = await enroll(body)
      assert.equal(answer.status, 400, answer.body)
      assert.equal(JSON.parse(answer.body).code, 'HTTP_BAD_REQUEST')
    })
  }

  const hello = { versions: [1, 1], capabilities: [], instance: new Uint8Array(16), product: 'x', held: [] }
  for (const [name, meta] of Object.entries(cborOf(hello))) {
    if (meta.length === 0) continue
    it(`a HELLO with ${name}: 1002`, async () => {
      const peer = await connectHostile(credentials, false)
      peer.send(encodeControl({ type: 'HELLO', id: 0, meta }))
      assert.equal(await peer.closed, PROTOCOL_ERROR)
    })
  }

  it('keys of a later revision in HELLO are passed over, whatever they are called', async () => {
    const peer = await connectHostile(credentials, false)
    const known = encodeHello({ instance: Buffer.alloc(16, 5) })
    const size = (known[0] as number) & 0x1f
    const more = [...encode('__proto__'), ...encode({ admin: true }), ...encode('constructor'), ...encode(1)]
    const meta = Uint8Array.from([0xa0 | (size + 2), ...known.subarray(1), ...more])
    peer.send(encodeControl({ type: 'HELLO', id: 0, meta }))
    await peer.until('HELLO_OK')
    peer.socket.terminate()
  })

  for (const [name, meta] of Object.entries(cborOf({ resource: 'berlin/echo', protocol: 'tcp' }))) {
    // What only a HELLO gets wrong by it.
    if (name === 'not a number') continue
    it(`an OPEN with ${name}: its stream is reset, and the session goes on`, async () => {
      const peer = await connectHostile(credentials)
      peer.send(
        encodeControl({
          type: 'OPEN',
          id: 1,
          flags: 0,
          maxOffset: INITIAL_CREDIT,
          priority: 0,
          hops: 0,
          meta,
          earlyData: new Uint8Array(0),
        }),
      )
      const reset = await peer.until('RESET', 1)
      assert.equal('code' in reset && reset.code, wireFromCode('PROTOCOL'))
      peer.socket.ping()
      peer.socket.terminate()
    })
  }

  it('over the control channel: refused by the form of each command', async () => {
    const values = [
      JSON.parse('{"__proto__":{"site":"berlin"}}'),
      { site: 'berlin', constructor: 1 },
      { site: { toString: 'berlin' } },
      { site: ['berlin'] },
      { site: '__proto__', ttlMs: 1e308 },
      [],
      null,
      'berlin',
    ]
    for (const method of [
      'agent.invite',
      'connector.add',
      'publication.add',
      'publication.remove',
      'agent.revoke',
    ]) {
      for (const value of values) {
        await assert.rejects(
          kit.command(method, value as object),
          isTunnelError,
          `${method} ${JSON.stringify(value)}`,
        )
      }
    }
  })
})
