import assert from 'node:assert/strict'
import http from 'node:http'
import { duplexPair, PassThrough } from 'node:stream'
import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { createHttpIngress } from '../../../relay/ingress/http.ts'
import { realEffects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../../shared/http/server.ts'
import { createLog } from '../../../shared/log.ts'
import { textWithDamage } from '../damage.ts'
import type { FuzzTarget } from '../target.ts'

const HOST = 'app.example'

/** What relay or node may say by themselves to a request whose target cannot be reached. */
const ANSWERS = /^HTTP\/1\.[01] (100|400|404|408|417|421|426|431|499|503) /

/** Turns of the event loop in which a request in memory is answered. */
const TURNS = 12

const opened: string[] = []

const ingress = createHttpIngress({
  route: (host) =>
    host === HOST
      ? { tenantId: 'default', environment: 'production', site: 'berlin', resource: 'web', host }
      : undefined,
  open: ({ site, resource }) => {
    opened.push(`${site}/${resource}`)
    return new PassThrough().destroy(new TunnelError('AGENT_OFFLINE'))
  },
  log: createLog({ level: 'silent' }),
  // A refused connection lingers for a second in case more comes; here all of it has come.
  effects: { ...realEffects, after: (_ms, callback) => realEffects.after(0, callback) },
})

const server = http.createServer(HTTP_SERVER_OPTIONS)
hardenServer(server, { after: (_ms, callback) => realEffects.after(50, callback) })

/** What a handler threw, which would have ended the relay. */
let thrown: unknown

function guarded<Args extends unknown[]>(handle: (...args: Args) => void): (...args: Args) => void {
  return (...args) => {
    try {
      handle(...args)
    } catch (error) {
      thrown = error
    }
  }
}

const handle = guarded(ingress.handle)
server.on('request', handle).on('checkContinue', handle).on('upgrade', guarded(ingress.upgrade))

/** Mostly the first, now and then one of the others. */
function mostly<T>(usual: T, ...others: T[]): fc.Arbitrary<T> {
  return fc.oneof(
    { weight: 20, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: fc.constantFrom(...others) },
  )
}

const line = fc
  .tuple(
    mostly('GET', 'POST', 'OPTIONS', 'CONNECT', 'TRACE', 'PRI', 'get', 'G'),
    mostly('/', '/a?b#c', '*', 'http://other.example/', '//x', '/%00', '/../..', `${HOST}:443`, '/ü'),
    mostly('HTTP/1.1', 'HTTP/1.0', 'HTTP/0.9', 'HTTP/2.0', 'http/1.1', 'HTTP/1.1 '),
  )
  .map((parts) => parts.join(' '))

const host = mostly(
  `Host: ${HOST}`,
  'Host: APP.example:443',
  'Host: user@app.example',
  'Host: [::1]:0',
  'Host: other.example',
  'Host:',
  'Host : app.example',
  `Host: ${HOST}\r\nHost: other.example`,
)

const header = fc.constantFrom(
  'Content-Length: 5',
  'Content-Length: +5',
  'Content-Length: 99999999999999999999',
  'Transfer-Encoding: chunked',
  'Transfer-Encoding: chunked, identity',
  'Transfer_Encoding: chunked',
  'Connection: close, host, x-sallyport-user',
  'Connection: upgrade',
  'Upgrade: websocket',
  'Upgrade: h2c',
  'Sec-WebSocket-Version: 13',
  'Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==',
  'Expect: 100-continue',
  'Expect: 200-ok',
  'Via: 1.1 sallyport, 1.1 sallyport, 1.1 sallyport, 1.1 sallyport',
  'X-Forwarded-For: 10.0.0.1',
  'traceparent: 00-00000000000000000000000000000000-0000000000000000-00',
  `Cookie: ${'a'.repeat(9_000)}`,
  ' folded: yes',
)

const request = fc
  .tuple(
    line,
    host,
    fc.array(header, { maxLength: 3 }),
    mostly('\r\n', '\n', '\r'),
    mostly('', 'hello', '5\r\nhello\r\n0\r\n\r\n', '-1\r\n'),
  )
  .map(([first, named, headers, end, body]) => [first, named, ...headers, '', body].join(end))

/** Requests of the web as the relay reads them: each is refused, or asks for the one resource that its one Host names. */
export const httpRequests: FuzzTarget = {
  name: 'http',
  inputs: textWithDamage(
    fc.array(request, { minLength: 1, maxLength: 3 }).map((requests) => requests.join('')),
  ),
  async check(bytes) {
    const [client, side] = duplexPair()
    opened.length = 0
    thrown = undefined
    server.emit('connection', side)
    client.on('error', () => undefined)
    client.write(bytes)
    let said = ''
    client.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1')
    })
    // Whoever hangs up at once is not answered.
    for (let turn = 0; turn < TURNS; turn++) await setImmediate()
    client.end()
    for (let turn = 0; turn < TURNS; turn++) await setImmediate()
    side.destroy()
    if (thrown !== undefined) throw thrown
    for (const [answer] of said.matchAll(/^HTTP\/1\.[01] \d{3} /gm)) assert.match(answer, ANSWERS)
    assert.ok(opened.every((resource) => resource === 'berlin/web'))
    if (opened.length > 0) assert.ok(Buffer.from(bytes).toString('latin1').toLowerCase().includes(HOST))
  },
}
