import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Examination } from '../../../agent/doctor/context.ts'
import { examine, type Line, verdictOf } from '../../../agent/doctor/examine.ts'
import { readIdentity } from '../../../agent/identity-store.ts'
import { parseRules } from '../../../agent/rules/parse.ts'
import { realEffects } from '../../../shared/effects.ts'
import { parseJoinString } from '../../../shared/identity/join-string.ts'
import { createNetwork } from '../../../shared/network/network.ts'
import { fastEffects } from '../../support/clocks.ts'
import { startIdleCutter, startTlsBox } from '../../support/middle-boxes.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'
import { listenTarget } from '../../support/tcp-kit.ts'

/** As if so much time had passed: silences of seconds are over at once. */
const FASTER = 8

const DIRECT = createNetwork({ way: { kind: 'direct' }, origin: 'default', systemCa: false }, realEffects)

const BASE = {
  serverName: '127.0.0.1',
  network: DIRECT,
  effects: fastEffects(FASTER),
  idleSeconds: 5,
} as const

function run(examination: Examination): Promise<readonly Line[]> {
  return examine(examination, {
    signal: AbortSignal.timeout(30_000),
    onLine: () => undefined,
    progress: (_label, work) => work,
  })
}

function before(port: number, pin: Buffer): Examination {
  return { ...BASE, addresses: [{ host: '127.0.0.1', port }], expected: { kind: 'pin', pin } }
}

async function pinOf(kit: RelayKit): Promise<Buffer> {
  return parseJoinString(await kit.joinString()).caPin
}

async function after(directory: string, port: number): Promise<Examination> {
  const identity = await readIdentity(directory)
  if (identity === undefined) throw new Error('no agent')
  const { ca, certificate, key } = identity
  return {
    ...BASE,
    addresses: [{ host: '127.0.0.1', port }],
    expected: { kind: 'certificate', pem: ca },
    client: { certificate, key },
    directory,
    rules: new Map(),
  }
}

function verdicts(lines: readonly Line[]): Record<string, string> {
  return Object.fromEntries(lines.map(({ check, verdict }) => [check, verdict]))
}

function line(lines: readonly Line[], check: string): Line {
  const found = lines.find((one) => one.check === check)
  if (found === undefined) throw new Error(`no line of ${check}`)
  return found
}

describe('a doctor at a real relay', () => {
  it('finds all well before joining, without using up the join string', async () => {
    await using kit = await startKit()
    const text = await kit.joinString()
    const { addresses, serverName, caPin: pin } = parseJoinString(text)
    const lines = await run({ ...BASE, addresses, serverName, expected: { kind: 'pin', pin } })
    assert.deepEqual(verdicts(lines), {
      proxy: 'OK',
      dns: 'OK',
      tcp: 'OK',
      tls: 'OK',
      clock: 'OK',
      upgrade: 'OK',
      idle: 'OK',
      agent: 'SKIPPED',
    })
    assert.match(line(lines, 'tls').text, /the relay itself/)
    assert.equal(verdictOf(lines), undefined)
    await kit.joinedDirectory()
  })

  it('finds all well after joining, target and running agent too, and disturbs neither', async () => {
    await using target = await listenTarget((socket) => socket.end('hello\r\n'))
    await using kit = await startKit()
    const { directory, agent } = await kit.startAgent({ rules: { web: target.port } })
    const { session } = agent.status()
    const file = join(directory, 'rules.toml')
    const rules = parseRules(await readFile(file, 'utf8'), file)
    const lines = await run({ ...(await after(directory, kit.port)), rules })
    const { agent: running, ...others } = verdicts(lines)
    // The kit's agent has no control channel.
    assert.equal(running, 'SKIPPED')
    assert.deepEqual([...new Set(Object.values(others))], ['OK'])
    assert.equal(line(lines, 'target').subject, 'web')
    assert.match(line(lines, 'upgrade').text, /becomes a WebSocket/)
    assert.equal(agent.status().session, session)
  })

  it('names the relay that is not the pinned one, and does not show itself to it', async () => {
    await using kit = await startKit()
    await using other = await startKit()
    const lines = await run(await after(await kit.joinedDirectory(), other.port))
    const tls = line(lines, 'tls')
    assert.deepEqual([tls.verdict, tls.code], ['FAIL', 'RELAY_IDENTITY'])
    assert.match(tls.text, /signed by: CN=Sallyport CA [0-9a-f]{8} \(key SHA256:.*that is not the relay/)
    // Refused as one that has no certificate: ours was not shown.
    assert.match(line(lines, 'upgrade').text, /whoever has not joined/)
    assert.equal(verdictOf(lines)?.code, 'RELAY_IDENTITY')
  })

  it('skips what has no ground where nothing listens', async () => {
    const target = await listenTarget()
    await target.close()
    const lines = await run(before(target.port, Buffer.alloc(32)))
    assert.equal(line(lines, 'tcp').verdict, 'FAIL')
    for (const check of ['tls', 'clock', 'upgrade', 'idle'])
      assert.equal(line(lines, check).verdict, 'SKIPPED')
    assert.equal(verdictOf(lines)?.leg, 'relay-agent')
  })

  it('names both clocks where they are far apart, and asks nothing beyond that', async () => {
    await using kit = await startKit()
    const effects = { ...BASE.effects, date: () => realEffects.date() + 400 * 86_400_000 }
    const lines = await run({ ...before(kit.port, await pinOf(kit)), effects })
    const tls = line(lines, 'tls')
    assert.equal(tls.code, 'CLOCK')
    assert.ok(tls.text.includes(new Date(effects.date()).toISOString().slice(0, 10)), tls.text)
    for (const check of ['clock', 'upgrade', 'idle']) assert.equal(line(lines, check).verdict, 'SKIPPED')
  })

  it('says that an agent was revoked', async () => {
    await using kit = await startKit()
    const directory = await kit.joinedDirectory()
    await kit.command('agent.revoke', { agent: 'berlin' })
    const lines = await run(await after(directory, kit.port))
    assert.deepEqual([line(lines, 'upgrade').verdict, line(lines, 'upgrade').code], ['FAIL', 'REVOKED'])
    assert.equal(line(lines, 'idle').verdict, 'SKIPPED')
  })
})

describe('a doctor behind a box that', () => {
  it('answers something that is not TLS tells so', async () => {
    await using page = await listenTarget((socket) =>
      socket.end('HTTP/1.1 302 Found\r\nlocation: /login\r\n\r\n'),
    )
    const tls = line(await run(before(page.port, Buffer.alloc(32))), 'tls')
    assert.deepEqual([tls.verdict, tls.code], ['FAIL', 'RELAY_IDENTITY'])
    assert.match(tls.text, /is not TLS: a sign-in page/)
  })

  it('breaks off the handshake tells so', async () => {
    await using filter = await listenTarget((socket) => socket.once('data', () => socket.resetAndDestroy()))
    const tls = line(await run(before(filter.port, Buffer.alloc(32))), 'tls')
    assert.deepEqual([tls.verdict, tls.code], ['FAIL', 'RELAY_UNREACHABLE'])
    assert.match(tls.text, /broken off at the beginning of TLS \(ECONNRESET\)/)
  })

  it('takes Upgrade away names that, and the headers that it adds', async () => {
    await using box = await startTlsBox({
      onRequest: (_request, response) => {
        response.writeHead(404, { 'content-type': 'application/problem+json', via: '1.1 gateway.corp' })
        response.end('{"code":"NOT_FOUND"}')
      },
      // As behind a box that forwards the rest of the request.
      onUpgrade: (socket) => {
        socket.end(
          'HTTP/1.1 404 Not Found\r\nVia: 1.1 gateway.corp\r\nContent-Length: 20\r\n\r\n{"code":"NOT_FOUND"}',
        )
      },
    })
    const lines = await run(before(box.port, Buffer.alloc(32)))
    assert.equal(line(lines, 'tls').code, 'RELAY_IDENTITY')
    const [upgrade, headers] = lines.filter(({ check }) => check === 'upgrade')
    assert.match(upgrade?.text ?? '', /takes Upgrade and Connection out of the request/)
    assert.match(headers?.text ?? '', /Via: 1\.1 gateway\.corp/)
  })

  it('answers in the place of the relay is told from its page', async () => {
    const page = '<html><head><title>Access denied by policy</title></head></html>'
    await using box = await startTlsBox({
      onUpgrade: (socket) => {
        socket.end(
          `HTTP/1.1 403 Forbidden\r\nServer: Filter/2\r\nContent-Length: ${page.length}\r\n\r\n${page}`,
        )
      },
    })
    const upgrade = line(await run(before(box.port, Buffer.alloc(32))), 'upgrade')
    assert.match(upgrade.text, /something on the way answers 403: Access denied by policy/)
  })

  it('has no idea of the upgrade that it answers is found out', async () => {
    await using box = await startTlsBox({
      onUpgrade: (socket) => {
        socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n')
      },
    })
    const upgrade = line(await run(before(box.port, Buffer.alloc(32))), 'upgrade')
    assert.match(upgrade.text, /Sec-WebSocket-Accept is wrong/)
  })
})

describe('a doctor on a path that cuts silent connections', () => {
  it('with a reset finds the moment, and has the agent ask sooner', async () => {
    await using kit = await startKit()
    const directory = await kit.joinedDirectory()
    await using cutter = await startIdleCutter(kit.port, 7_500 / FASTER, 'reset')
    const lines = await run({ ...(await after(directory, cutter.port)), idleSeconds: 10 })
    const idle = line(lines, 'idle')
    assert.deepEqual([idle.verdict, idle.code], ['WARN', 'SESSION_LOST'])
    assert.match(idle.text, /after \d(\.\d)? s, with a reset/)
    const { pingIntervalMs } = JSON.parse(await readFile(join(directory, 'settings.json'), 'utf8'))
    assert.ok(pingIntervalMs * 1.2 < 7_500, `${pingIntervalMs}`)
  })

  it('without a word finds between which silences, and says so before joining too', async () => {
    await using kit = await startKit()
    const directory = await kit.joinedDirectory()
    await using cutter = await startIdleCutter(kit.port, 7_500 / FASTER, 'silent')
    const joined = await run({ ...(await after(directory, cutter.port)), idleSeconds: 10 })
    assert.match(line(joined, 'idle').text, /after 5 s to 10 s, without a word/)
    const stranger = await run({ ...before(cutter.port, await pinOf(kit)), idleSeconds: 10 })
    assert.match(line(stranger, 'idle').text, /after 5 s to 8 s, without a word/)
  })
})
