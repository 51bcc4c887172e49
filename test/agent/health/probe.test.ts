import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import type { NetConnectOpts, Socket } from 'node:net'
import { connect } from 'node:net'
import { type TestContext, test } from 'node:test'
import { createSecureContext, TLSSocket } from 'node:tls'
import { generate } from 'selfsigned'
import { PROBE_MS, probeTarget } from '../../../agent/health/probe.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { listenTarget } from '../../support/tcp-kit.ts'

const DAY_MS = 86_400_000

async function service(t: TestContext, serve: (socket: Socket) => void): Promise<number> {
  const target = await listenTarget(serve)
  t.after(() => target.close())
  return target.port
}

const target = (port: number, more: Record<string, unknown> = {}) =>
  makeRule('r', { protocol: 'tcp', host: '127.0.0.1', port, allow_loopback: true, ...more })

function options(effects = new FakeEffects()) {
  const { signal } = new AbortController()
  const resolver = { resolve: () => assert.fail('resolved'), forget: () => {} }
  return {
    signal,
    effects,
    resolver,
    seen: new Map(),
    context: { own: new Set<string>(), relay: new Set<string>() },
  }
}

/** Calls back when a connection stands and what it brought was taken. */
function connecting(onConnect: () => void) {
  return (how: NetConnectOpts) => connect(how).once('connect', () => setImmediate(onConnect))
}

test('a target of which nothing is known is connected to, and that is all', async (t) => {
  let received = 0
  const ended = Promise.withResolvers<void>()
  const port = await service(t, (socket) => {
    socket.on('data', (chunk) => (received += chunk.length)).on('end', () => ended.resolve())
    socket.write('hello, who are you?')
  })
  const probe = await probeTarget(target(port), options())
  assert.deepEqual([probe.kind, probe.state, probe.note], ['tcp', 'ok', 'takes connections'])
  assert.equal(probe.detail, `127.0.0.1:${port}: takes connections`)
  await ended.promise
  assert.equal(received, 0)
})

test('where a person asks, its greeting is shown, made harmless', async (t) => {
  const port = await service(t, (socket) => socket.write('SSH-2.0-\x1b[31mx\r\n'))
  const probe = await probeTarget(target(port), { ...options(), greetingMs: 500 })
  assert.equal(probe.detail, `127.0.0.1:${port}: takes connections: SSH-2.0-?[31mx`)
})

test('a silent target is no worse for it, after a short wait', async (t) => {
  const port = await service(t, () => {})
  const effects = new FakeEffects()
  const connected = Promise.withResolvers<void>()
  const setup = { ...options(effects), greetingMs: 500, connect: connecting(connected.resolve) }
  const probe = probeTarget(target(port), setup)
  await connected.promise
  await effects.elapse(500)
  assert.equal((await probe).state, 'ok')
})

test('a hello is said, read and taken leave of', async (t) => {
  const said: string[] = []
  const left = Promise.withResolvers<void>()
  const port = await service(t, (socket) => {
    socket.write('220 mx.corp ESMTP\r\n')
    socket.on('data', (chunk) => {
      said.push(String(chunk))
      socket.end('221 bye\r\n')
    })
    socket.on('close', () => left.resolve())
  })
  const effects = new FakeEffects()
  const probe = await probeTarget(target(port, { probe: 'smtp' }), options(effects))
  assert.deepEqual([probe.state, probe.note], ['ok', 'SMTP'])
  await left.promise
  assert.deepEqual(said, ['QUIT\r\n'])
})

for (const [name, serve, code, note] of [
  ['ends', (socket: Socket) => socket.end(), 'TARGET_UNHEALTHY', 'closes the connection without an answer'],
  ['breaks', (socket: Socket) => socket.resetAndDestroy(), 'TARGET_RESET', 'breaks the connection'],
  [
    'floods',
    (socket: Socket) => socket.write(Buffer.alloc(100_000, '+')),
    'TARGET_UNHEALTHY',
    'the answer has no end',
  ],
  [
    'is another service',
    (socket: Socket) => socket.write('220 mail\r\n'),
    'TARGET_UNHEALTHY',
    'what answers is not Redis',
  ],
] as const) {
  test(`a target that ${name} fails`, async (t) => {
    const port = await service(t, (socket) => {
      // Not before the question, or the connect itself may fail.
      socket.once('data', () => serve(socket))
    })
    const probe = await probeTarget(target(port, { probe: 'redis' }), options())
    assert.deepEqual([probe.state, probe.code, probe.note], ['failing', code, note])
    assert.ok(probe.detail.length <= 200)
  })
}

test('a target that takes the question and never answers fails after the limit', async (t) => {
  const asked = Promise.withResolvers<void>()
  const port = await service(t, (socket) => socket.once('data', () => asked.resolve()))
  const effects = new FakeEffects()
  const probe = probeTarget(target(port, { probe: 'redis' }), options(effects))
  await asked.promise
  await effects.elapse(PROBE_MS)
  const { state, code, note } = await probe
  assert.deepEqual([state, code], ['failing', 'TARGET_UNHEALTHY'])
  assert.equal(note, 'takes the connection and gives no answer')
})

test('a target that the rule denies is not reached, and the missing word is named', async (t) => {
  const listening = await listenTarget()
  t.after(() => listening.close())
  const rule = makeRule('r', { protocol: 'tcp', host: '127.0.0.1', port: listening.port, probe: 'redis' })
  const probe = await probeTarget(rule, options())
  assert.deepEqual([probe.state, probe.code, probe.note], ['failing', 'DENIED_BY_SITE', ''])
  assert.match(probe.detail, /allow_loopback = true/)
  assert.equal(listening.accepted, 0)
})

test('a dial that fails says why, with the address in the detail only', async () => {
  const closed = await listenTarget()
  await closed.close()
  const probe = await probeTarget(target(closed.port), options())
  assert.deepEqual([probe.state, probe.code, probe.note], ['failing', 'CONNECTION_REFUSED', ''])
  assert.match(probe.detail, /127\.0\.0\.1/)
})

test('a probe that is given up throws, and leaves no timer', async (t) => {
  const asked = Promise.withResolvers<void>()
  const port = await service(t, (socket) => socket.once('data', () => asked.resolve()))
  const effects = new FakeEffects()
  const end = new AbortController()
  const probe = probeTarget(target(port, { probe: 'redis' }), { ...options(effects), signal: end.signal })
  await asked.promise
  end.abort(new TunnelError('CANCELLED'))
  await assert.rejects(probe, { code: 'CANCELLED' })
})

/** A key and a self-signed certificate for 127.0.0.1. */
async function certificate(notBefore: number, notAfter: number): Promise<{ key: string; cert: string }> {
  const made = await generate([{ name: 'commonName', value: 'secret-host.corp' }], {
    keyType: 'ec',
    notBeforeDate: new Date(notBefore),
    notAfterDate: new Date(notAfter),
    extensions: [{ name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] }],
  })
  assert.ok(new X509Certificate(made.cert).validTo !== '')
  return { key: made.private, cert: made.cert }
}

/** Serves TLS on a connection; `error` is of no interest: the probe may leave in the middle. */
function tlsServer(pem: { key: string; cert: string }): (socket: Socket) => TLSSocket {
  const secureContext = createSecureContext(pem)
  return (socket) =>
    new TLSSocket(socket, { isServer: true, secureContext }).on('error', () => undefined).resume()
}

test('TLS is judged by its certificate: not trusted here, near its end, over', async (t) => {
  const effects = new FakeEffects({ date: Date.now() })
  const now = effects.date()
  const judge = async (from: number, to: number, more = {}) => {
    const port = await service(t, tlsServer(await certificate(now + from * DAY_MS, now + to * DAY_MS)))
    const { state, code, note } = await probeTarget(target(port, { probe: 'tls', ...more }), options(effects))
    return [state, code, note.replace(/\d{4}-\d\d-\d\d/, 'DAY')]
  }
  assert.deepEqual(await judge(-1, 300), [
    'warn',
    undefined,
    'TLS, this machine does not trust the certificate: DEPTH_ZERO_SELF_SIGNED_CERT',
  ])
  assert.deepEqual(await judge(-300, -1), ['failing', 'TARGET_TLS', 'TLS, the certificate ended on DAY'])
  assert.deepEqual(await judge(1, 300), [
    'failing',
    'TARGET_TLS',
    'TLS, the certificate is good from DAY only',
  ])
})

test('PostgreSQL that offers TLS is greeted with a handshake; its certificate matters by its end only', async (t) => {
  const effects = new FakeEffects({ date: Date.now() })
  const now = effects.date()
  const judge = async (to: number) => {
    const serve = tlsServer(await certificate(now - 300 * DAY_MS, now + to * DAY_MS))
    const port = await service(t, (socket) => {
      socket.once('data', (chunk) => {
        assert.equal(chunk.toString('hex'), '0000000804d2162f')
        socket.write('S', () => serve(socket))
      })
    })
    const { state, note } = await probeTarget(target(port, { probe: 'postgres' }), options(effects))
    return [state, note.replace(/\d{4}-\d\d-\d\d/, 'DAY')]
  }
  assert.deepEqual(await judge(300), ['ok', 'PostgreSQL, with TLS: TLS, certificate until DAY'])
  assert.deepEqual(await judge(10), [
    'warn',
    'PostgreSQL, with TLS: TLS, a certificate ends on DAY, in 9 days',
  ])
  assert.deepEqual(await judge(-1), ['warn', 'PostgreSQL, with TLS: TLS, the certificate ended on DAY'])
})

test('an untrusted certificate that was seen before is expected, so that the server sees a whole handshake', async (t) => {
  const effects = new FakeEffects({ date: Date.now() })
  const now = effects.date()
  const pems = [
    await certificate(now - DAY_MS, now + 300 * DAY_MS),
    await certificate(now - DAY_MS, now + 90 * DAY_MS),
  ]
  let shown = 0
  const port = await service(t, (socket) => {
    const pem = pems[shown]
    assert.ok(pem !== undefined)
    tlsServer(pem)(socket)
  })
  const setup = options(effects)
  const ask = async () => (await probeTarget(target(port, { probe: 'tls' }), setup)).note.split(':')[0]
  const untrusted = 'TLS, this machine does not trust the certificate'
  assert.equal(await ask(), untrusted)
  assert.equal(setup.seen.size, 1)
  assert.equal(await ask(), untrusted)
  shown = 1
  assert.match((await ask()) ?? '', /^TLS, certificate until/, 'another one is not judged by the first')
  assert.equal(await ask(), untrusted)
  assert.equal(setup.seen.size, 1)
})

test('what answers no TLS to a handshake fails', async (t) => {
  const port = await service(t, (socket) =>
    socket.once('data', () => socket.end('HTTP/1.1 400 Bad Request\r\n\r\n')),
  )
  const probe = await probeTarget(target(port, { probe: 'tls' }), options())
  assert.deepEqual([probe.state, probe.note], ['failing', 'what answers is not TLS'])
})

test('what never ends a handshake fails after the limit', async (t) => {
  const asked = Promise.withResolvers<void>()
  const port = await service(t, (socket) => socket.once('data', () => asked.resolve()))
  const effects = new FakeEffects()
  const probe = probeTarget(target(port, { probe: 'tls' }), options(effects))
  await asked.promise
  await effects.elapse(PROBE_MS)
  const { state, note } = await probe
  assert.deepEqual([state, note], ['failing', 'TLS handshake: no answer in time'])
})
