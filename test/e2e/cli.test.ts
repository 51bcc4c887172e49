import assert from 'node:assert/strict'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Running, sallyport, startSallyport } from '../support/command-line.ts'
import { eventually } from '../support/deadline.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** The mode bits of a file. */
async function modeOf(path: string): Promise<number> {
  return (await stat(path)).mode & 0o777
}

async function echoesAt(address: unknown, words: string): Promise<void> {
  const text = String(address)
  const client = await dial(Number(text.slice(text.lastIndexOf(':') + 1)))
  client.socket.end(words)
  assert.equal(String((await client.closed).bytes), words)
}

/** What the commands of this test print, of which each prints a part. */
interface Answer {
  readonly joinString?: string
  readonly expiresAt?: number
  readonly site?: string
  readonly fingerprint?: string
  readonly agents?: readonly { readonly fingerprint: string }[]
  readonly probe?: { readonly ok: boolean; readonly code?: string }
  readonly connected?: boolean
  readonly rules?: number
  readonly address?: string
  readonly sessions?: readonly { readonly name: string }[]
}

/** The one line that a command printed; it has worked. */
async function json(...args: string[]): Promise<Answer> {
  const { status, out, err } = await sallyport([...args, '--json'])
  assert.equal(status, 0, err)
  return JSON.parse(out)
}

/** `EXIT CODE` of a command that fails. */
async function failure(...args: string[]): Promise<string> {
  const { status, out } = await sallyport([...args, '--json'])
  const { error } = JSON.parse(out)
  assert.equal(error.exit, status)
  return `${status} ${error.code}`
}

describe('the command line, from the first start to the last', () => {
  let root: string
  let target: TcpTarget
  let relay: Running
  let agent: Running | undefined
  let relayData: string[]
  let agentData: string[]
  let credentials: string

  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'sallyport-cli-'))
    relayData = ['--data', join(root, 'relay')]
    agentData = ['--data', join(root, 'agent')]
    credentials = join(root, 'dev.json')
    target = await echoTarget()
    relay = startSallyport(['relay', 'up', ...relayData, '--listen', '127.0.0.1:0', '--json'])
  })

  after(async () => {
    await agent?.stop()
    await relay.stop()
    await target.close()
    await rm(root, { recursive: true, force: true })
  })

  it('relay up prints where it listens and then that it is ready, and makes a private directory', async () => {
    const listening = await relay.line()
    assert.equal(listening.event, 'listening')
    assert.match(String(listening.address), /^127\.0\.0\.1:\d+$/)
    // There is no owner yet.
    assert.equal((await relay.line()).event, 'setup')
    assert.deepEqual(await relay.line(), { event: 'ready' })
    assert.equal(await modeOf(join(root, 'relay')), 0o700)
    assert.equal(await modeOf(join(root, 'relay/relay.db')), 0o600)
  })

  it('agent join takes the string from a file or standard input, and it never stands in a command line', async () => {
    const token = await json('relay', 'join-token', 'berlin', ...relayData)
    const joinString = String(token.joinString)
    assert.ok(Number(token.expiresAt) > Date.now())
    const file = join(root, 'join')
    await writeFile(file, `${joinString}\n`, { mode: 0o600 })
    const joined = await json('agent', 'join', '--join-file', file, ...agentData)
    assert.equal(joined.site, 'berlin')
    assert.match(String(joined.fingerprint), /^SHA256:/)
    // Both sides show the same fingerprint.
    const listed = await json('relay', 'list', ...relayData)
    assert.equal(listed.agents?.[0]?.fingerprint, joined.fingerprint)
    assert.equal(await modeOf(join(root, 'agent')), 0o700)
    assert.equal(await modeOf(join(root, 'agent/identity.json')), 0o600)
    assert.equal(
      await failure('agent', 'join', '--join-file', file, '--data', join(root, 'other')),
      '5 JOIN_TOKEN',
    )

    const plain = await sallyport(['relay', 'join-token', 'munich', ...relayData])
    const fromInput = await sallyport(
      ['agent', 'join', '--join-file', '-', '--data', join(root, 'munich'), '--json'],
      plain.out,
    )
    assert.equal(fromInput.status, 0, fromInput.err)
    assert.equal(JSON.parse(fromInput.out).site, 'munich')
  })

  it('agent allow writes the rule and says what answered; agent run serves it', async () => {
    agent = startSallyport(['agent', 'run', ...agentData, '--json'])
    assert.equal((await agent.line()).event, 'running')
    const rule = `echo=127.0.0.1:${target.port}`
    const denied = await json('agent', 'allow', rule, ...agentData)
    assert.equal(denied.probe?.code, 'DENIED_BY_SITE')
    const allowed = await json('agent', 'allow', rule, '--allow-loopback', ...agentData)
    assert.equal(allowed.probe?.ok, true)
    assert.match(await readFile(join(root, 'agent/rules.toml'), 'utf8'), /\[resources\.echo\]/)
    const isReady = async () => {
      const status = await json('agent', 'status', ...agentData)
      return status.connected === true && status.rules === 1
    }
    await eventually(isReady, 'the agent is connected and has read the rule')
    const args = await readFile(`/proc/${agent.pid}/cmdline`, 'utf8').catch(() => '')
    assert.equal(args.includes('sallyport-join'), false)
  })

  it('relay publish opens a listener that leads to the site', async () => {
    const published = await json('relay', 'publish', 'berlin/echo', '--tcp', '127.0.0.1:0', ...relayData)
    await echoesAt(published.address, 'by the listener')
    const status = await json('relay', 'status', ...relayData)
    assert.deepEqual([...new Set(status.sessions?.map(({ name }) => name))], ['berlin'])
    await json('relay', 'unpublish', 'berlin/echo', ...relayData)
    assert.equal(await failure('relay', 'unpublish', 'berlin/echo', ...relayData), '2 NOT_FOUND')
  })

  it('connect forwards a local port with a credentials file that only its owner can read', async () => {
    const added = ['connector', 'add', 'dev', '--resource', 'berlin/echo', '--out', credentials]
    await json('relay', ...added, ...relayData)
    assert.equal(await modeOf(credentials), 0o600)
    await using forward = startSallyport(['connect', 'berlin/echo', '--credentials', credentials, '--json'])
    const { listening } = await forward.line()
    await echoesAt(listening, 'by the connector')
    assert.equal(
      await failure(
        'relay',
        'connector',
        'add',
        'dev',
        '--resource',
        'berlin/echo',
        '--out',
        credentials,
        ...relayData,
      ),
      '2 CONFLICT',
    )
    assert.equal(await forward.stop(), 0)
  })

  it('a failure has its exit status and its code', async () => {
    const nowhere = ['--data', join(root, 'nowhere')]
    assert.equal((await sallyport(['relay', 'no-such-command'])).status, 2)
    assert.equal(await failure('relay', 'publish', 'berlin/echo', ...relayData), '2 USAGE')
    assert.equal(await failure('agent', 'allow', 'Echo=somewhere', ...agentData), '2 USAGE')
    assert.equal(await failure('agent', 'join', 'sallyport-join-1.broken', ...nowhere), '2 JOIN_STRING')
    assert.equal(await failure('relay', 'status', ...nowhere), '7 NOT_RUNNING')
    assert.equal(await failure('agent', 'status', ...nowhere), '7 NOT_RUNNING')
    const bad = join(root, 'bad.json')
    await writeFile(bad, '{"version":1}', { mode: 0o600 })
    assert.equal(await failure('connect', 'berlin/echo', '--credentials', bad), '2 CREDENTIALS')
    await writeFile(join(root, 'open.json'), await readFile(credentials), { mode: 0o644 })
    assert.equal(
      await failure('connect', 'berlin/echo', '--credentials', join(root, 'open.json')),
      '7 PERMISSIONS',
    )
    const moved = JSON.parse(await readFile(credentials, 'utf8'))
    const elsewhere = join(root, 'elsewhere.json')
    await writeFile(elsewhere, JSON.stringify({ ...moved, relays: ['127.0.0.1:1'] }), { mode: 0o600 })
    assert.equal(await failure('connect', 'berlin/echo', '--credentials', elsewhere), '4 RELAY_UNREACHABLE')
  })

  it('connect tells why a connection was not served, and resets it', async () => {
    await using forward = startSallyport(['connect', 'berlin/other', '--credentials', credentials])
    const [, port] = /^berlin\/other is at 127\.0\.0\.1:(\d+) /.exec(await forward.text()) ?? []
    const client = await dial(Number(port))
    assert.equal((await client.closed).end, 'RST')
    await eventually(() => forward.err().includes('DENIED_BY_RELAY'), 'the reason')
  })

  it('a revoked connector is refused with status 5, and SIGTERM ends relay and agent with 0', async () => {
    await json('relay', 'revoke', 'connector', 'dev', ...relayData)
    assert.equal(await failure('connect', 'berlin/echo', '--credentials', credentials), '5 REVOKED')
    assert.equal(await agent?.stop(), 0)
    assert.equal(await relay.stop(), 0)
    // Nothing that was secret stands in a log.
    const logs = `${relay.err()}${agent?.err()}`
    assert.equal(/sallyport-join|BEGIN|PRIVATE/.test(logs), false)
  })
})
