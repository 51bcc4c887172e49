import assert from 'node:assert/strict'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it, type TestContext } from 'node:test'
import tls from 'node:tls'
import { createAuthority } from '../../../relay/authority/certificate-authority.ts'
import { ensureServerCertificate } from '../../../relay/authority/server-certificate.ts'
import { realEffects } from '../../../shared/effects.ts'
import type { NetworkPlan } from '../../../shared/network/choice.ts'
import { createNetwork } from '../../../shared/network/network.ts'
import { formatRoute, type ProxyRoute, parseProxyCredentials } from '../../../shared/network/route.ts'
import type { Step } from '../../../shared/network/step.ts'
import { within } from '../../support/deadline.ts'
import { challenge, type ScriptedProxy, startScriptedProxy } from '../../support/scripted-proxy.ts'
import { echoTarget } from '../../support/tcp-kit.ts'

const credentials = parseProxyCredentials('eve:canary')

function planBy(route: ProxyRoute, more: Partial<NetworkPlan> = {}): NetworkPlan {
  return {
    way: { kind: 'proxy', setting: { route }, isExempt: () => false },
    origin: 'flag',
    systemCa: false,
    ...more,
  }
}

/** Real effects on a clock that the test moves. */
function movable() {
  let aheadMs = 0
  return {
    effects: { ...realEffects, now: () => realEffects.now() + aheadMs },
    pass: (ms: number) => {
      aheadMs += ms
    },
  }
}

const inTime = () => AbortSignal.timeout(10_000)

async function proxyFor(t: TestContext, answer: ScriptedProxy['answer']): Promise<ScriptedProxy> {
  const proxy = await startScriptedProxy(answer)
  t.after(() => proxy[Symbol.asyncDispose]())
  return proxy
}

async function targetFor(t: TestContext) {
  const target = await echoTarget()
  t.after(() => target.close())
  return { host: '127.0.0.1', port: target.port }
}

const needsBasic = (head: string) =>
  head.includes('Proxy-Authorization: Basic') ? 'tunnel' : challenge('Basic realm="x"', 'close')

describe('a network with a proxy', () => {
  it('opens a connection that carries bytes both ways, and tells each step', async (t) => {
    const proxy = await proxyFor(t, needsBasic)
    const target = await targetFor(t)
    const steps: Step[] = []
    const network = createNetwork(planBy(proxy.route, { credentials }), realEffects)
    const socket = await network.reach(target, inTime(), (step) => steps.push(step))
    socket.end('hello')
    assert.equal(Buffer.concat(await socket.toArray()).toString(), 'hello')
    assert.deepEqual(
      steps.map((step) => (step.kind === 'proxy-answer' ? `${step.status} ${step.used ?? '-'}` : step.kind)),
      ['tcp', '407 -', 'tcp', '200 Basic', 'open'],
    )
    assert.doesNotMatch(JSON.stringify(steps), /canary|eve/)
  })

  it('reads the credentials file for each connection, and refuses one that others can read', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-network-'))
    t.after(() => rm(directory, { recursive: true }))
    const credentialsFile = join(directory, 'proxy')
    await writeFile(credentialsFile, 'eve:first\n', { mode: 0o600 })
    const proxy = await proxyFor(t, (head) =>
      head.includes(btoa('eve:second')) ? 'tunnel' : challenge('Basic realm="x"'),
    )
    const target = await targetFor(t)
    const network = createNetwork(planBy(proxy.route, { credentialsFile }), realEffects)
    await assert.rejects(network.reach(target, inTime()), { code: 'PROXY_AUTH' })
    await writeFile(credentialsFile, 'eve:second\n')
    const socket = await network.reach(target, inTime())
    socket.destroy()
    await writeFile(join(directory, 'open'), 'eve:second\n', { mode: 0o644 })
    const open = createNetwork(planBy(proxy.route, { credentialsFile: join(directory, 'open') }), realEffects)
    await assert.rejects(open.reach(target, inTime()), { code: 'PERMISSIONS' })
  })

  it('sends a wrong password once in minutes, however often and from wherever it is asked', async (t) => {
    const proxy = await proxyFor(t, () => challenge('Basic realm="x"'))
    const target = { host: 'relay.example', port: 443 }
    const { effects, pass } = movable()
    const network = createNetwork(planBy(proxy.route, { credentials }), effects)
    const sent = () => proxy.requests.filter((head) => head.includes('Proxy-Authorization')).length
    const attempts = await Promise.allSettled([1, 2, 3].map(() => network.reach(target, inTime())))
    assert.deepEqual(
      attempts.map((one) => one.status === 'rejected' && one.reason.code),
      ['PROXY_AUTH', 'PROXY_AUTH', 'PROXY_AUTH'],
    )
    assert.equal(sent(), 1)
    pass(299_000)
    await assert.rejects(network.reach(target, inTime()), {
      code: 'PROXY_AUTH',
      message: /not sent again for 1 min/,
    })
    assert.equal(sent(), 1)
    pass(2_000)
    await assert.rejects(network.reach(target, inTime()), { code: 'PROXY_AUTH', message: /does not take/ })
    assert.equal(sent(), 2)
    // Twice as long now.
    pass(599_000)
    await assert.rejects(network.reach(target, inTime()), { message: /not sent again for 1 min/ })
    assert.equal(sent(), 2)
  })

  it('takes 401 for a refused password, and 403 for one that may be, until it was once taken', async (t) => {
    const target = await targetFor(t)
    const refusing = (status: string) => (head: string) =>
      head.includes('Proxy-Authorization')
        ? `HTTP/1.1 ${status} No\r\nContent-Length: 0\r\n\r\n`
        : challenge('Basic realm="x"')
    const confused = await proxyFor(t, refusing('401'))
    await assert.rejects(
      createNetwork(planBy(confused.route, { credentials }), realEffects).reach(target, inTime()),
      {
        code: 'PROXY_AUTH',
      },
    )
    const strict = await proxyFor(t, refusing('403'))
    const network = createNetwork(planBy(strict.route, { credentials }), realEffects)
    await assert.rejects(network.reach(target, inTime()), { code: 'PROXY_REFUSED' })
    await assert.rejects(network.reach(target, inTime()), { code: 'PROXY_AUTH', message: /not sent again/ })
    const behind = await proxyFor(t, refusing('503'))
    const waiting = createNetwork(planBy(behind.route, { credentials }), realEffects)
    for (const _attempt of [1, 2])
      await assert.rejects(waiting.reach(target, inTime()), { code: 'PROXY_REFUSED' })
    const later = await proxyFor(t, needsBasic)
    const known = createNetwork(planBy(later.route, { credentials }), realEffects)
    const socket = await known.reach(target, inTime())
    socket.destroy()
    later.answer = refusing('403')
    for (const _attempt of [1, 2])
      await assert.rejects(known.reach(target, inTime()), { code: 'PROXY_REFUSED' })
  })

  it('does not hold a password back that was never sent', async (t) => {
    const proxy = await proxyFor(t, () => challenge('Negotiate'))
    const network = createNetwork(planBy(proxy.route, { credentials }), realEffects)
    const target = { host: 'relay.example', port: 443 }
    for (const _attempt of [1, 2]) {
      await assert.rejects(network.reach(target, inTime()), {
        code: 'PROXY_AUTH',
        message: /offers Negotiate/,
      })
    }
  })

  it("speaks TLS to the proxy where its URL says so, and trusts the company's CA", async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-network-'))
    t.after(() => rm(directory, { recursive: true }))
    const authority = await createAuthority(join(directory, 'ca'), realEffects)
    const serving = await ensureServerCertificate(
      join(directory, 'tls'),
      authority,
      ['127.0.0.1'],
      realEffects,
    )
    const inner = await proxyFor(t, () => 'tunnel')
    const server = tls.createServer({ key: serving.key.reveal(), cert: serving.chain }, (socket) => {
      const plain = net.connect(inner.route.port, '127.0.0.1')
      socket
        .on('error', () => undefined)
        .pipe(plain)
        .on('error', () => undefined)
        .pipe(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    t.after(() => server.close())
    const { port } = server.address() as net.AddressInfo
    const target = await targetFor(t)
    const route: ProxyRoute = { kind: 'https', host: '127.0.0.1', port }
    const stranger = createNetwork(planBy(route), realEffects)
    await assert.rejects(stranger.reach(target, inTime()), { code: 'PROXY_UNREACHABLE', message: /CERT/ })
    const caFile = join(directory, 'ca.pem')
    await writeFile(caFile, `# the company\n${authority.certificate}`)
    const socket = await createNetwork(planBy(route, { caFile }), realEffects).reach(target, inTime())
    socket.write('hello')
    socket.resume()
    const [chunk] = await within(once(socket, 'data'), 'the echo')
    assert.equal(String(chunk), 'hello')
    socket.destroy()
    await writeFile(caFile, 'nothing')
    const wrong = createNetwork(planBy(route, { caFile }), realEffects)
    await assert.rejects(wrong.reach(target, inTime()), { code: 'CONFIG', message: /ca\.pem/ })
  })

  it('lets connections through side by side once the password was taken', async (t) => {
    const proxy = await proxyFor(t, needsBasic)
    const target = await targetFor(t)
    const network = createNetwork(planBy(proxy.route, { credentials }), realEffects)
    const sockets = await Promise.all([1, 2, 3].map(() => network.reach(target, inTime())))
    for (const socket of sockets) socket.destroy()
    assert.equal(sockets.length, 3)
  })

  it('blames the proxy that is not there, hangs up or is none', async (t) => {
    const target = { host: 'relay.example', port: 443 }
    const gone = await startScriptedProxy(() => '')
    await gone[Symbol.asyncDispose]()
    const dead = createNetwork(planBy(gone.route), realEffects)
    await assert.rejects(dead.reach(target, inTime()), {
      code: 'PROXY_UNREACHABLE',
      leg: 'proxy',
      message: /ECONNREFUSED/,
    })
    const rude = await proxyFor(t, () => 'HTTP/1.1 100 Continue\r\nConnection: close\r\n\r\n')
    await assert.rejects(createNetwork(planBy(rude.route), realEffects).reach(target, inTime()), {
      code: 'PROXY_UNREACHABLE',
      message: /closed the connection/,
    })
    const other = await proxyFor(t, () => 'SSH-2.0-x\r\n')
    await assert.rejects(createNetwork(planBy(other.route), realEffects).reach(target, inTime()), {
      message: /no HTTP proxy/,
    })
  })

  it('gives up when its signal aborts', async (t) => {
    const silent = await proxyFor(t, () => '')
    const controller = new AbortController()
    const reaching = createNetwork(planBy(silent.route), realEffects).reach(
      { host: 'relay.example', port: 1 },
      controller.signal,
    )
    const reason = new Error('enough')
    setImmediate(() => controller.abort(reason))
    await assert.rejects(reaching, reason)
  })
})

describe('a network with a PAC file', () => {
  it('tries the ways in order, and one that failed last from then on', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-network-'))
    t.after(() => rm(directory, { recursive: true }))
    const gone = await startScriptedProxy(() => '')
    await gone[Symbol.asyncDispose]()
    const alive = await proxyFor(t, () => 'tunnel')
    const target = await targetFor(t)
    const source = join(directory, 'proxy.pac')
    const list = `PROXY 127.0.0.1:${gone.route.port}; PROXY 127.0.0.1:${alive.route.port}`
    await writeFile(
      source,
      `function FindProxyForURL(url, host) { return url === "https://127.0.0.1:${target.port}/" ? "${list}" : "DIRECT" }`,
    )
    const { effects, pass } = movable()
    const network = createNetwork({ way: { kind: 'pac', source }, origin: 'flag', systemCa: false }, effects)
    const failed = async () => {
      const steps: Step[] = []
      const socket = await network.reach(target, inTime(), (step) => steps.push(step))
      socket.destroy()
      return steps.filter((step) => step.kind === 'failed').map((step) => step.route)
    }
    assert.deepEqual(await failed(), [formatRoute(gone.route)])
    assert.deepEqual(await failed(), [])
    pass(301_000)
    assert.deepEqual(await failed(), [formatRoute(gone.route)])
    assert.deepEqual(await network.routesTo({ host: 'other.example', port: 1 }, inTime()), [
      { kind: 'direct' },
    ])
  })

  it('keeps the last good file while it cannot be had, and says so where there was none', async (t) => {
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-network-'))
    t.after(() => rm(directory, { recursive: true, force: true }))
    const source = join(directory, 'proxy.pac')
    await writeFile(source, 'function FindProxyForURL() { return "PROXY p:1" }')
    const { effects, pass } = movable()
    const network = createNetwork({ way: { kind: 'pac', source }, origin: 'flag', systemCa: false }, effects)
    const target = { host: 'relay.example', port: 443 }
    const routes = async () => (await network.routesTo(target, inTime())).map(formatRoute)
    assert.deepEqual(await routes(), ['http://p:1'])
    await rm(source)
    pass(700_000)
    assert.deepEqual(await routes(), ['http://p:1'])
    await writeFile(source, 'function FindProxyForURL() { return "DIRECT" }')
    pass(700_000)
    assert.deepEqual(await routes(), ['direct'])
    const none = createNetwork(
      { way: { kind: 'pac', source: `${source}.none` }, origin: 'flag', systemCa: false },
      effects,
    )
    await assert.rejects(none.reach(target, inTime()), { code: 'PAC', message: /ENOENT/ })
  })
})
