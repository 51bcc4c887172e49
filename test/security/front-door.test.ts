import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import tls, { type TLSSocket } from 'node:tls'
import { generate } from 'selfsigned'
import { eventually, within } from '../support/deadline.ts'
import { type RelayKit, startKit, type TestAgent } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpEnd, type TcpTarget, tcpEnd } from '../support/tcp-kit.ts'

const OWN = 'db.example.org'

/** What stands for the certificate that a service on the site has had for years. */
const target = await generate([{ name: 'commonName', value: OWN }], {
  keyType: 'ec',
  extensions: [{ name: 'subjectAltName', altNames: [{ type: 2, value: OWN }] }],
})

/** A service on the site that does TLS itself and sends back what it gets; it shows whose certificate it saw. */
async function secureTarget() {
  const names: unknown[] = []
  const server = tls.createServer(
    { key: target.private, cert: target.cert, allowHalfOpen: true, minVersion: 'TLSv1.2' },
    (socket) => {
      names.push(socket.servername)
      socket.on('error', () => undefined)
      socket.pipe(socket)
    },
  )
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const { port } = server.address() as net.AddressInfo
  return { port, names, close: () => server.close() }
}

function relayCertificate(kit: RelayKit): string {
  return kit.relay.authority.authority.certificate.toString()
}

async function secure(kit: RelayKit, options: tls.ConnectionOptions): Promise<TLSSocket> {
  const socket = tls.connect({ port: kit.port, host: '127.0.0.1', ...options })
  const failed = new Promise<never>((_resolve, reject) => socket.once('error', reject))
  await within(Promise.race([new Promise((resolve) => socket.once('secureConnect', resolve)), failed]), 'TLS')
  socket.on('error', () => undefined)
  return socket
}

/** A TLS connection to the relay itself by someone without a certificate. */
function stranger(kit: RelayKit): Promise<TLSSocket> {
  return secure(kit, { ca: relayCertificate(kit) })
}

/** The whole answer to one request of a stranger. */
async function ask(kit: RelayKit, text: string): Promise<string> {
  const client = tcpEnd(await stranger(kit))
  client.socket.write(text)
  return (await client.closed).bytes.toString()
}

function post(path: string, body: string, length = body.length): string {
  return `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: ${length}\r\n\r\n${body}`
}

async function echoes(client: TcpEnd, text: string): Promise<void> {
  const from = client.received().length
  client.socket.write(text)
  await client.has(from + text.length)
  assert.equal(client.received().subarray(from).toString(), text)
}

describe('TLS that is passed through by its name', () => {
  let kit: RelayKit
  let service: Awaited<ReturnType<typeof secureTarget>>
  let agent: TestAgent

  before(async () => {
    kit = await startKit()
    service = await secureTarget()
    agent = await kit.startAgent({ rules: { db: service.port, web: service.port } })
    await kit.command('publication.add', { resource: 'berlin/db', kind: 'sni', address: 'DB.example.org' })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    service.close()
  })

  it('ends at the target: its certificate, its versions, every byte both ways, half-closes too', async () => {
    for (const maxVersion of ['TLSv1.2', 'TLSv1.3'] as const) {
      const client = await secure(kit, { servername: OWN, ca: target.cert, maxVersion })
      assert.equal(client.getPeerX509Certificate()?.raw.equals(rawOf(target.cert)), true)
      assert.equal(client.getProtocol(), maxVersion)
      const end = tcpEnd(client)
      const bulk = randomBytes(3 * 1024 * 1024)
      client.end(bulk)
      await end.finished
      assert.equal(digest(end.received()), digest(bulk))
    }
    assert.deepEqual(new Set(service.names), new Set([OWN]))
    await eventually(() => kit.relay.admission.counts.visitors === 0, 'nobody left')
  })

  it('is one stream of the relay, known at the site by the address of the client', async () => {
    const client = tcpEnd(await secure(kit, { servername: OWN, ca: target.cert }))
    await echoes(client, 'hello')
    // Over whichever of the agent's sessions was better.
    const streams = () => kit.relay.sessions.list().reduce((sum, { session }) => sum + session.streamCount, 0)
    assert.equal(streams(), 1)
    assert.deepEqual(kit.relay.admission.counts, { pending: 0, visitors: 1, refused: 0 })
    client.socket.destroy()
    await eventually(() => streams() === 0, 'the stream ended')
  })

  it('leaves every other name to the relay, and no name as well', async () => {
    for (const servername of ['127.0.0.1.example', `x.${OWN}`, '']) {
      const socket = await secure(kit, {
        ...{ servername, ca: relayCertificate(kit) },
        checkServerIdentity: () => undefined,
      })
      const client = tcpEnd(socket)
      client.socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
      assert.match((await client.closed).bytes.toString(), /^HTTP\/1\.1 200 [\s\S]*"status":"ok"/)
    }
  })

  it('is reset where no agent of the site is there', async () => {
    await kit.command('publication.add', {
      resource: 'munich/db',
      kind: 'sni',
      address: 'munich.example.org',
    })
    const socket = tls.connect({ port: kit.port, host: '127.0.0.1', servername: 'munich.example.org' })
    assert.equal((await tcpEnd(socket).closed).code, 'ECONNRESET')
  })

  it('has a name that is published once, is a name and is not the relay itself', async () => {
    await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: 'web.example.org' })
    const publish = (kind: string, address: string) =>
      kit.command('publication.add', { resource: 'berlin/web', kind, address })
    await assert.rejects(publish('sni', 'web.example.org'), { code: 'CONFLICT' })
    await assert.rejects(publish('sni', OWN), { code: 'CONFLICT' })
    await assert.rejects(publish('host', OWN), { code: 'CONFLICT' })
    await assert.rejects(publish('host', '127.0.0.1'), { code: 'CONFLICT' })
    for (const address of ['127.0.0.1', '192.0.2.1', '[::1]', 'a b', '', 'db.example.org.', 'db:443']) {
      await assert.rejects(publish('sni', address), { code: 'CONFIG' }, address)
    }
  })

  it('comes back with the relay, and goes with unpublish', async () => {
    await kit.stopRelay()
    await kit.startAgain()
    await eventually(() => kit.relay.sessions.list().length === 1, 'the agent is back')
    await agent.connected()
    const client = tcpEnd(await secure(kit, { servername: OWN, ca: target.cert }))
    await echoes(client, 'again')
    const { items } = (await kit.command('publication.list', {})) as { items: { kind: string }[] }
    assert.ok(items.some(({ kind }) => kind === 'sni'))
    await kit.command('publication.remove', { resource: 'berlin/db' })
    await echoes(client, 'what is open goes on')
    client.socket.destroy()
    await assert.rejects(secure(kit, { servername: OWN, ca: target.cert }))
  })
})

/** S18: in small; test/security/slow-visitors.ts has 2,000 of them. */
describe('before anything is proved', () => {
  const LIMITS = { handshakeMs: 500, headersMs: 300, bodyMs: 200, answerMs: 200 }

  it('a slow ClientHello, handshake, head or body is cut, and so is who stays after a refusal', async () => {
    await using kit = await startKit({ limits: LIMITS })
    const silent = await dial(kit.port)
    const half = await dial(kit.port)
    half.socket.write(Buffer.from('160301020001000001fc', 'hex'))
    await silent.finished
    await half.finished

    const head = tcpEnd(await stranger(kit))
    head.socket.write('POST /v1/enroll HTTP/1.1\r\nHost: 127')
    assert.match((await head.closed).bytes.toString(), /^HTTP\/1\.1 408 /)
    assert.match(
      await ask(kit, post('/v1/enroll', '{"token"', 100)),
      /^HTTP\/1\.1 408 [\s\S]*HTTP_REQUEST_TIMEOUT/,
    )

    const upgrade = [
      'GET /v1/agent HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n',
      `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString('base64')}\r\n\r\n`,
    ]
    const raw = await dial(kit.port)
    const stayer = tls.connect({
      socket: raw.socket,
      ca: relayCertificate(kit),
      host: '127.0.0.1',
    })
    stayer.on('error', () => undefined)
    const stays = tcpEnd(stayer)
    stayer.write(upgrade.join(''))
    await stays.finished
    assert.match(stays.received().toString(), /^HTTP\/1\.1 (?:401|403) /)
    await eventually(() => kit.relay.admission.counts.pending === 0, 'nobody at the door')
    raw.socket.destroy()
  })

  it('the 65th connection of an address is refused; tunnels and published listeners go on', async () => {
    await using kit = await startKit()
    await using service: TcpTarget = await echoTarget()
    // A second session that is still at the door would take a place among the 64.
    await kit.startAgent({ rules: { echo: service.port }, sessions: 1 })
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/echo'))
    const forward = await kit.forward(connector, 'berlin/echo')
    const client = await dial(forward.port)
    await echoes(client, 'before')
    assert.deepEqual(kit.relay.admission.counts, { pending: 0, visitors: 0, refused: 0 })

    const crowd: TcpEnd[] = []
    for (let i = 0; i < 64; i++) crowd.push(await dial(kit.port))
    await eventually(() => kit.relay.admission.counts.pending === 64, '64 at the door')
    for (let i = 0; i < 3; i++) assert.equal((await (await dial(kit.port)).closed).end, 'RST')
    await kit.log.until('connections refused', { firstFrom: '127.0.0.1' })

    await echoes(client, 'meanwhile')
    const published = await dial(await kit.publish('berlin/echo'))
    await echoes(published, 'the listener too')
    for (const { socket } of crowd) socket.resetAndDestroy()
    await eventually(() => kit.relay.admission.counts.pending === 0, 'nobody at the door')
    await echoes(client, 'after')
    await kit.startAgent({ site: 'munich' })
    for (const { socket } of [client, published]) socket.destroy()
  })

  it('an enrolment is one of ten a minute', async () => {
    await using kit = await startKit()
    const answers: string[] = []
    for (let i = 0; i < 11; i++) answers.push(await ask(kit, post('/v1/enroll', '{}')))
    assert.ok(answers.slice(0, 10).every((answer) => answer.startsWith('HTTP/1.1 400 ')))
    assert.match(answers[10] ?? '', /^HTTP\/1\.1 429 [\s\S]*Retry-After: \d[\s\S]*"code":"ENHANCE_CALM"/)
    await assert.rejects(kit.joinedDirectory(), { code: 'ENHANCE_CALM' })
  })

  it('tunnels open at a limited rate, and those refused come in later by themselves', async () => {
    await using kit = await startKit({ limits: { tunnelsPerSecond: 0.5, tunnelBurst: 1 } })
    await kit.startAgent({ site: 'berlin', sessions: 1 })
    await kit.startAgent({ site: 'munich', sessions: 1 })
    await kit.startAgent({ site: 'hamburg', sessions: 1 })
    await kit.log.until('upgrade refused', { code: 'OVERLOADED' })
    assert.equal(kit.relay.sessions.list().length, 3)
  })

  it('a browser counts until its first request only, and visitors leave room for tunnels', async () => {
    await using kit = await startKit({ limits: { pendingPerAddress: 2, visitors: 2 } })
    const service = http.createServer((_request, response) => response.end('page'))
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve))
    const { port } = service.address() as net.AddressInfo
    const rule = `protocol = "http"\nhost = "127.0.0.1"\nport = ${port}\nallow_loopback = true`
    await kit.startAgent({ rules: { web: rule } })
    await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: 'web.example.org' })
    const browsers: TcpEnd[] = []
    for (let i = 0; i < 3; i++) {
      const options = { servername: 'web.example.org', ca: relayCertificate(kit) }
      const browser = tcpEnd(await secure(kit, options))
      browser.socket.write('GET / HTTP/1.1\r\nHost: web.example.org\r\n\r\n')
      browsers.push(browser)
      await eventually(() => browser.received().includes('\r\n\r\n'), 'an answer')
    }
    const [first, , third] = browsers.map((browser) => browser.received().toString())
    assert.match(first ?? '', /^HTTP\/1\.1 200 /)
    assert.match(third ?? '', /^HTTP\/1\.1 503 [\s\S]*OVERLOADED/)
    assert.deepEqual(kit.relay.admission.counts, { pending: 0, visitors: 2, refused: 1 })
    await kit.startAgent({ site: 'munich' })
    for (const { socket } of browsers) socket.destroy()
    await eventually(() => kit.relay.admission.counts.visitors === 0, 'no visitors left')
    service.close()
  })

  it('a relay that stops closes them', async () => {
    await using kit = await startKit()
    const silent = await dial(kit.port)
    const idle = tcpEnd(await stranger(kit))
    await kit.stopRelay()
    await silent.finished
    await idle.closed
  })
})

function digest(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex')
}

function rawOf(pem: string): Buffer {
  return Buffer.from(pem.replace(/-----[^-]+-----|\s/g, ''), 'base64')
}
