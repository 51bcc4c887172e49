import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { BALANCER } from '../support/balancer.ts'
import { cidr } from '../support/cidr.ts'
import { eventually, within } from '../support/deadline.ts'
import { lineHeader } from '../support/proxy-header.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { echoTarget, type TcpEnd, type TcpTarget, tcpEnd } from '../support/tcp-kit.ts'
import { endProgram, freePort } from './corporate-kit.ts'

/**
 * haproxy before the relay, which sends the PROXY protocol as versions 1 and 2; it comes to the relay from 127.0.0.2, its
 * clients to it from 127.0.0.1.
 * Alone: node --import ./build/require-node.js test/run.ts test/interop/haproxy.interop.ts
 */

/** How long haproxy may take to come up, in ms. */
const START_MS = 20_000

/** Name of each way to the relay to what haproxy is told of it. */
const WAYS = {
  line: 'send-proxy',
  binary: 'send-proxy-v2',
  checked: 'send-proxy-v2 proxy-v2-options crc32c,unique-id,ssl',
  watched: 'send-proxy-v2 check check-send-proxy inter 100',
  silent: '',
} as const

type Way = keyof typeof WAYS
const SPEAKING = ['line', 'binary', 'checked', 'watched'] as const satisfies readonly Way[]

async function startHaproxy(
  directory: string,
  target: number,
): Promise<[ChildProcess, Record<string, number>]> {
  const ports = Object.fromEntries(
    await Promise.all(Object.keys(WAYS).map(async (way) => [way, await freePort()] as const)),
  )
  const sections = Object.entries(WAYS).map(
    ([way, options]) =>
      `listen ${way}\n  bind 127.0.0.1:${ports[way]}\n  server relay 127.0.0.1:${target} source ${BALANCER} ${options}\n`,
  )
  const defaults = 'defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n'
  const config = join(directory, `haproxy-${target}.cfg`)
  await writeFile(config, `${defaults}${sections.join('')}`)
  const child = spawn('haproxy', ['-db', '-f', config], { stdio: ['ignore', 'pipe', 'pipe'] })
  let said = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (chunk) => (said += chunk))
  await eventually(
    () => {
      assert.equal(child.exitCode, null, said)
      return listens(ports.silent ?? 0)
    },
    'haproxy listens',
    START_MS,
  )
  return [child, ports]
}

async function listens(port: number): Promise<boolean> {
  const { closed, socket } = tcpEnd(net.connect(port, '127.0.0.1'))
  socket.once('connect', () => socket.destroy())
  return (await closed).code === undefined
}

async function dialFrom(localAddress: string, port: number): Promise<TcpEnd> {
  const end = tcpEnd(net.connect({ port, host: '127.0.0.1', localAddress, allowHalfOpen: true }))
  await within(new Promise((resolve) => end.socket.once('connect', resolve)), 'a connection')
  return end
}

describe('behind haproxy', () => {
  let directory: string
  let kit: RelayKit
  let echo: TcpTarget
  let ports: Record<string, number>
  const programs: ChildProcess[] = []

  const startProxy = async (target: number) => {
    const [child, opened] = await startHaproxy(directory, target)
    programs.push(child)
    return opened
  }
  const addressOf = (way: Way) => ({ host: '127.0.0.1', port: ports[way] ?? 0 })

  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sallyport-haproxy-'))
    kit = await startKit({ proxies: [cidr('127.0.0.2')] })
    echo = await echoTarget()
    ports = await startProxy(kit.port)
    await kit.command('restriction.set', { restriction: 'clients', ranges: ['127.0.0.1'] })
    await kit.command('restriction.set', { restriction: 'balancer', ranges: [BALANCER] })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    await echo.close()
    for (const child of programs) await endProgram(child)
    await rm(directory, { recursive: true, force: true })
  })

  for (const way of SPEAKING) {
    it(`an agent joins and works by way of ${WAYS[way]}, under its own address`, async () => {
      await kit.startAgent({ site: way, rules: { echo: echo.port }, address: addressOf(way) })
      const sources = kit.relay.sessions
        .list()
        .flatMap(({ principal, sourceAddress }) =>
          principal.kind === 'agent' && principal.site === way ? [sourceAddress] : [],
        )
      assert.deepEqual(new Set(sources), new Set(['127.0.0.1']))
      const visitor = await dialFrom('127.0.0.1', await kit.publish(`${way}/echo`))
      visitor.socket.end('words')
      assert.equal(String((await visitor.closed).bytes), 'words')
    })

    it(`a restriction goes by the client's address, not by haproxy's (${WAYS[way]})`, async () => {
      const issued = await kit.credentials(`app-${way}`, `${way}/echo`)
      const credentials = { ...issued, addresses: [addressOf(way)] }
      const use = { kind: 'connector', target: `app-${way}` }
      await kit.command('restriction.attach', { ...use, restriction: 'balancer' })
      await assert.rejects(kit.connect(credentials), { code: 'RESTRICTED' })
      await kit.command('restriction.detach', { ...use, restriction: 'balancer' })
      await kit.command('restriction.attach', { ...use, restriction: 'clients' })
      const connector = await kit.connect(credentials)
      await connector.close()
    })
  }

  it("haproxy's own checks are no trouble to the relay", async () => {
    assert.equal(kit.log.records.filter(({ level }) => Number(level) >= 40).length, 0)
  })

  it('a published listener behind it knows its visitors', async () => {
    const published = await kit.publish('line/echo')
    const use = { restriction: 'clients', kind: 'publication', target: `127.0.0.1:${published}` }
    await kit.command('restriction.attach', use)
    const behind = await startProxy(published)
    const visit = async (from: string, way: Way) => {
      const visitor = await dialFrom(from, behind[way] ?? 0)
      visitor.socket.end('words')
      return String((await visitor.closed).bytes)
    }
    for (const way of SPEAKING) {
      assert.equal(await visit('127.0.0.1', way), 'words')
      assert.equal(await visit('127.0.0.5', way), '')
    }
  })

  it('without send-proxy nobody comes in, and the log says why', async () => {
    const socket = tls.connect({ port: ports.silent ?? 0, host: '127.0.0.1' })
    assert.notEqual((await tcpEnd(socket).closed).code, undefined)
    const { reason } = await kit.log.until(
      'connections of a listed proxy refused: it must send the PROXY protocol',
      { proxy: BALANCER },
    )
    assert.equal(reason, 'there is no PROXY header')
  })

  it('a header from elsewhere is refused, and so is one within the connection of a client', async () => {
    const ca = kit.relay.authority.authority.certificate.toString()
    for (const port of [kit.port, ports.line ?? 0]) {
      const { socket } = await dialFrom('127.0.0.1', port)
      socket.write(lineHeader(BALANCER))
      const secured = tcpEnd(tls.connect({ socket, ca, servername: '' }))
      secured.socket.write('GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n')
      assert.equal((await secured.closed).bytes.length, 0)
    }
  })
})
