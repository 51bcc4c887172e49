import assert from 'node:assert/strict'
import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type NetConnectOpts, type Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { GREETING_MS, PROBE_MS, probeTarget, recognise } from '../../../agent/dial/probe.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import { type FakeClock, fakeClock } from './fake-clock.ts'

async function service(t: TestContext, onConnection: (socket: Socket) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    t.after(() => socket.destroy())
    onConnection(socket)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

const target = (protocol: string, port: number, more: Record<string, unknown> = {}) =>
  makeRule('r', { protocol, host: '127.0.0.1', port, allow_loopback: true, ...more })

function options(effects: FakeClock = fakeClock()) {
  const { signal } = new AbortController()
  const resolver = { resolve: () => assert.fail('resolved'), forget: () => {} }
  return { signal, effects, resolver, context: { own: new Set<string>(), relay: new Set<string>() } }
}

test('a service that speaks first is shown with its greeting, made harmless', async (t) => {
  const port = await service(t, (socket) => socket.write('SSH-2.0-\x1b[31mx\r\n'))
  const probe = await probeTarget(target('tcp', port), options())
  assert.deepEqual(probe, {
    ok: true,
    detail: `connected to 127.0.0.1:${port}`,
    ms: 0,
    greeting: 'SSH-2.0-?[31mx',
  })
})

test('a silent service is reached all the same, after a short wait', async (t) => {
  const port = await service(t, () => {})
  const connected = Promise.withResolvers<void>()
  const setup = {
    ...options(),
    connect: (how: NetConnectOpts) => connect(how).once('connect', () => setImmediate(connected.resolve)),
  }
  const probe = probeTarget(target('tcp', port), setup)
  await connected.promise
  await setup.effects.advance(GREETING_MS)
  assert.deepEqual(await probe, { ok: true, detail: `connected to 127.0.0.1:${port}`, ms: 0 })
  assert.equal(setup.effects.pending(), 0)
})

test('an HTTP target is asked for its status with the host and path of the rule', async (t) => {
  let asked = ''
  const port = await service(t, (socket) =>
    socket.on('data', (chunk) => {
      asked += chunk.toString('latin1')
      socket.end('HTTP/1.1 401 Unauthorized\r\nServer: x\r\n\r\n')
    }),
  )
  const rule = target('http', port, { path_prefixes: ['/api/'], host_header: 'web.corp' })
  const probe = await probeTarget(rule, options())
  assert.equal(probe.greeting, 'HTTP/1.1 401 Unauthorized')
  assert.equal(asked, 'HEAD /api/ HTTP/1.1\r\nHost: web.corp\r\nConnection: close\r\n\r\n')
})

test('an HTTP rule on something else says so', async (t) => {
  const port = await service(t, (socket) => socket.end('220 mail ESMTP\r\n'))
  const probe = await probeTarget(target('http', port), options())
  assert.equal(probe.ok, true)
  assert.match(probe.detail, /no HTTP answer/)
  assert.equal(probe.greeting, undefined)
})

test('a service that ends at once does not keep the probe waiting', async (t) => {
  const port = await service(t, (socket) => socket.destroy())
  assert.equal((await probeTarget(target('tcp', port), options())).ok, true)
})

test('a flood is read no further than its first kibibyte', async (t) => {
  const port = await service(t, (socket) => socket.write(Buffer.alloc(1_000_000, 'a')))
  const probe = await probeTarget(target('tcp', port), options())
  assert.equal(probe.greeting?.length, 120)
})

test('a denied target is told with its code and the missing word', async () => {
  const probe = await probeTarget(makeRule('r', { protocol: 'tcp', host: '127.0.0.1', port: 1 }), options())
  assert.deepEqual([probe.ok, probe.code], [false, 'DENIED_BY_SITE'])
  assert.match(probe.detail, /allow_loopback = true/)
})

test('a target that never answers ends after the limit', async () => {
  const setup = options()
  const resolver = {
    resolve: (_host: string, signal: AbortSignal) =>
      new Promise<never>((_resolve, reject) =>
        signal.addEventListener('abort', () => reject(signal.reason as Error)),
      ),
    forget: () => {},
  }
  const probe = probeTarget(makeRule('r', { protocol: 'tcp', host: 'a', port: 1 }), { ...setup, resolver })
  await setup.effects.advance(PROBE_MS)
  assert.deepEqual(await probe, { ok: false, code: 'DNS', detail: 'a:1: no answer in 3000 ms', ms: PROBE_MS })
})

test('usual services are known by their first bytes', () => {
  const tcp = (port: number, bytes: string) =>
    recognise({ protocol: 'tcp', port }, Buffer.from(bytes, 'latin1'))
  assert.equal(tcp(5432, 'S'), 'PostgreSQL, with TLS')
  assert.equal(tcp(5432, 'N'), 'PostgreSQL, without TLS')
  assert.equal(tcp(6379, '+PONG\r\n'), 'Redis')
  assert.equal(tcp(6379, '-NOAUTH Authentication required.\r\n'), 'Redis')
  assert.equal(tcp(3306, 'J\0\0\0\n8.4.0\0xyz'), 'MySQL 8.4.0')
  assert.equal(tcp(25, '220 mail ESMTP\r\n'), '220 mail ESMTP')
  assert.equal(tcp(443, '\x15\x03\x01\0\x02'), undefined)
  assert.equal(tcp(9, ''), undefined)
})
