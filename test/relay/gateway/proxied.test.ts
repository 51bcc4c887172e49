import assert from 'node:assert/strict'
import net from 'node:net'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import type { ConnectorCredentials } from '../../../shared/identity/credentials.ts'
import { type Cidr, parseCidr } from '../../../shared/policy/cidr.ts'
import { BALANCER, type Balancer, type BalancerOptions, startBalancer } from '../../support/balancer.ts'
import { eventually, within } from '../../support/deadline.ts'
import { binaryHeader, lineHeader } from '../../support/proxy-header.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { dial, echoTarget, listenTarget, type TcpEnd, type TcpTarget, tcpEnd } from '../../support/tcp-kit.ts'

function range(text: string): Cidr {
  const read = parseCidr(text)
  assert.ok(read.ok)
  return read.value
}

const NEAR = '192.0.2.7'
const FAR = '198.51.100.9'
const HEALTH = 'GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n'

/** From where connections come to the relay that its operator has not listed. */
async function dialFrom(localAddress: string, port: number): Promise<TcpEnd> {
  const end = tcpEnd(net.connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true }))
  await within(new Promise((resolve) => end.socket.once('connect', resolve)), 'a connection')
  return end
}

/** The relay's answer to who asks for its health over `socket`; empty where it has none. */
function health(kit: RelayKit, port: number, socket?: net.Socket): Promise<string> {
  return request(kit, port, HEALTH, socket)
}

async function request(kit: RelayKit, port: number, text: string, socket?: net.Socket): Promise<string> {
  const ca = kit.relay.authority.authority.certificate.toString()
  const client = tcpEnd(
    tls.connect({ ca, ...(socket === undefined ? { port, host: '127.0.0.1' } : { socket }), servername: '' }),
  )
  client.socket.write(text)
  return (await client.closed).bytes.toString()
}

describe('a relay behind a load balancer', () => {
  let kit: RelayKit
  let echo: TcpTarget
  const open = new AsyncDisposableStack()

  const balancer = async (options: Omit<BalancerOptions, 'port'>, port = kit.port): Promise<Balancer> =>
    open.use(await startBalancer({ port, ...options }))
  const as = (source: string) => balancer({ header: () => lineHeader(source) })
  const through = (credentials: ConnectorCredentials, { port }: Balancer): ConnectorCredentials => ({
    ...credentials,
    addresses: [{ host: '127.0.0.1', port }],
  })

  before(async () => {
    kit = await startKit({ proxies: [range(`${BALANCER}/32`)], limits: { pendingPerAddress: 3 } })
    echo = await echoTarget()
    await kit.command('restriction.set', { restriction: 'near', ranges: ['192.0.2.0/24'] })
  })

  after(async () => {
    await open.disposeAsync()
    await kit[Symbol.asyncDispose]()
    await echo.close()
  })

  it('knows an agent by its own address, in sessions, enrolments and records', async () => {
    const { port } = await balancer({ header: () => binaryHeader({ hasChecksum: true }) })
    await kit.startAgent({ rules: { db: echo.port }, address: { host: '127.0.0.1', port } })
    const sources = kit.relay.sessions.list().map(({ sourceAddress }) => sourceAddress)
    assert.deepEqual(new Set(sources), new Set([NEAR]))
    const [agent] = await kit.relay.authority.store.listAgents('default', {})
    assert.equal(agent?.sourceAddress, NEAR)
    const status = (await kit.command('status.show', {})) as {
      proxies: string[]
      sessions: { source: string }[]
    }
    assert.deepEqual(status.proxies, [`${BALANCER}/32`])
    assert.equal(status.sessions[0]?.source, NEAR)
  })

  it('restricts a connector by its own address, not by that of the balancer', async () => {
    const credentials = await kit.credentials('app', 'berlin/db')
    await kit.command('restriction.attach', { restriction: 'near', kind: 'connector', target: 'app' })
    await assert.rejects(kit.connect(through(credentials, await as(FAR))), { code: 'RESTRICTED' })
    await assert.rejects(kit.connect(credentials), { code: 'RESTRICTED' })
    const connector = await kit.connect(through(credentials, await as(NEAR)))
    await connector.close()
  })

  it('takes a header in as many packets as it has bytes, and TLS behind it', async () => {
    for (const header of [lineHeader(NEAR), binaryHeader({ extensions: [[0x05, Buffer.alloc(200)]] })]) {
      const { port } = await balancer({ header: () => header, isSlow: true })
      assert.match(await health(kit, port), /^HTTP\/1\.1 200 /)
    }
  })

  it('takes the word of the balancer about itself, and closes who only looks whether it listens', async () => {
    for (const header of [Buffer.from('PROXY UNKNOWN\r\n'), binaryHeader({ command: 0x20, addresses: '' })]) {
      const { port } = await balancer({ header: () => header })
      assert.match(await health(kit, port), /^HTTP\/1\.1 200 /)
    }
    const looked = await dialFrom(BALANCER, kit.port)
    looked.socket.end()
    await looked.closed
  })

  it('reads no header from anybody else: it is no TLS, and the log says so', async () => {
    for (const header of [lineHeader(NEAR), binaryHeader()]) {
      const socket = (await dialFrom('127.0.0.3', kit.port)).socket
      socket.write(header)
      assert.equal(await health(kit, kit.port, socket), '')
    }
    assert.match(await health(kit, kit.port), /^HTTP\/1\.1 200 /)
    await kit.log.until('PROXY headers from an address that --proxy-from does not list: refused', {
      source: '127.0.0.3',
      count: 2,
    })
  })

  it('refuses a listed address that sends no header, a wrong one, or TLS before it', async () => {
    for (const first of ['\x16\x03\x01\x02\x00', 'PROXY TCP4 192.0.2.7\r\n', 'GET / HTTP/1.1\r\n']) {
      const bare = await dialFrom(BALANCER, kit.port)
      bare.socket.write(Buffer.from(first, 'latin1'))
      assert.equal((await bare.closed).bytes.length, 0)
    }
    await kit.log.until('connections of a listed proxy refused: it must send the PROXY protocol', {
      proxy: BALANCER,
      reason: 'there is no PROXY header',
    })
  })

  it('S18: gives each client behind it a share of its own', async () => {
    const { port } = await as(FAR)
    const connections = await Promise.all(Array.from({ length: 4 }, () => dial(port)))
    for (const { socket } of connections) socket.write('\x16')
    await Promise.any(connections.map(({ closed }) => closed))
    assert.equal(connections.filter(({ socket }) => socket.destroyed).length, 1)
    assert.match(await health(kit, (await as(NEAR)).port), /^HTTP\/1\.1 200 /)
    for (const { socket } of connections) socket.destroy()
  })

  it('has published listeners that do as its own: the header first, then the client', async () => {
    const port = await kit.publish('berlin/db')
    const use = { restriction: 'near', kind: 'publication', target: `127.0.0.1:${port}` }
    await kit.command('restriction.attach', use)
    const visit = async (source: string) => {
      const header = () => lineHeader(source)
      const visitor = await dial((await balancer({ header, isSlow: source === NEAR }, port)).port)
      visitor.socket.end('hello')
      return (await visitor.closed).bytes.toString()
    }
    assert.equal(await visit(NEAR), 'hello')
    assert.equal(await visit(FAR), '')
    await kit.command('restriction.detach', use)
    const direct = await dial(port)
    direct.socket.end(lineHeader(NEAR))
    assert.equal(
      (await direct.closed).bytes.toString(),
      lineHeader(NEAR).toString(),
      'is the target\u2019s to read',
    )
  })

  it('knows who logs in by its own address, whatever a header of the request says', async () => {
    const body = JSON.stringify({ tenant: 'default', login: 'ann', password: 'no password of ours' })
    const head = ['POST /api/v1/session HTTP/1.1', 'Host: 127.0.0.1', 'Content-Type: application/json']
    const more = ['Sec-Fetch-Site: same-origin', 'X-Forwarded-For: 192.0.2.7', 'Connection: close']
    const text = [...head, ...more, `Content-Length: ${body.length}`, '', body].join('\r\n')
    for (const source of [FAR, '203.0.113.5'])
      assert.match(await request(kit, (await as(source)).port, text), /"code":"LOGIN"/)
    const { items } = (await kit.command('audit.list', { action: 'person.login' })) as {
      items: readonly { source: string }[]
    }
    assert.deepEqual(new Set(items.map(({ source }) => source)), new Set([FAR, '203.0.113.5']))
  })

  it('tells a target by HTTP of its client, whatever the client says', async () => {
    const heard: string[] = []
    await using web = await listenTarget((socket) => {
      socket.on('data', (bytes) => {
        heard.push(bytes.toString())
        socket.end('HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n')
      })
    })
    const rule = `protocol = "http"\nhost = "127.0.0.1"\nport = ${web.port}\nallow_loopback = true`
    await kit.startAgent({ site: 'munich', rules: { web: rule } })
    await kit.command('publication.add', { resource: 'munich/web', kind: 'host', address: 'web.example.org' })
    const ca = kit.relay.authority.authority.certificate.toString()
    const { port } = await as(FAR)
    const client = tcpEnd(tls.connect({ ca, port, host: '127.0.0.1', servername: 'web.example.org' }))
    client.socket.write(
      'GET / HTTP/1.1\r\nHost: web.example.org\r\nX-Forwarded-For: 192.0.2.7\r\nForwarded: for=192.0.2.7\r\n\r\n',
    )
    await eventually(() => heard.length > 0, 'the request')
    assert.match(heard.join(''), new RegExp(`x-forwarded-for: ${FAR}\r\n`, 'i'))
    assert.doesNotMatch(heard.join(''), /192\.0\.2\.7/)
    client.socket.destroy()
  })
})
