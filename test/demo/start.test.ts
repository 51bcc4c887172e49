import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises'
import { createServer, request } from 'node:http'
import { type AddressInfo, connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { demonstrate } from '../../demo/demonstrate.ts'
import { type HttpService, startHttpService } from '../../demo/services/http.ts'
import { startPostgres } from '../../demo/services/postgres.ts'
import { runAction } from '../../shared/cli/action.ts'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { fakeTerminal } from '../support/terminal.ts'

const MAIN = join(import.meta.dirname, '../../demo/main.ts')

interface Facts {
  readonly relay: string
  readonly relayData: string
  readonly agentData: string
  readonly http: string
  readonly sql: string
  readonly checks: readonly { readonly question: string; readonly answer: string }[]
}

describe('npm start', () => {
  let directory = ''
  const formerDirectory = process.env.TMPDIR
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
    process.env.TMPDIR = directory
  })
  after(async () => {
    if (formerDirectory === undefined) delete process.env.TMPDIR
    else process.env.TMPDIR = formerDirectory
    await rm(directory, { recursive: true })
  })

  it('--once ends with status 0 after every answer was right, and leaves no process and no file', async () => {
    const child = start('--once', '--json')
    const [output, [status]] = await Promise.all([text(child.stdout), once(child, 'close')])
    assert.equal(status, 0, output)
    const { checks, ...facts } = JSON.parse(output) as Facts
    assert.deepEqual(
      checks.map(({ answer }) => answer.split(/[ ,]/).slice(0, 3).join(' ')),
      [
        '200 {"service":"sample" "method":"GET"',
        'PostgreSQL 18.4 on',
        '200 1 MiB',
        '1000 rows ',
        '200 {"service":"sample" "method":"GET"',
      ],
    )
    await assertNothingLeft(directory, [facts.relay, facts.http, facts.sql])
  })

  it('stays up and answers the commands it names until Ctrl-C, and then leaves nothing', async () => {
    const child = start('--json')
    const closed = once(child, 'close')
    try {
      const [line] = await once(child.stdout, 'data')
      const facts = JSON.parse(String(line)) as Facts
      const { signal } = new AbortController()
      const relay = await callControl(controlPath(facts.relayData), 'status.show', {}, { signal })
      // The agent brings its second session when it likes.
      const kinds = (relay as { sessions: { kind: string }[] }).sessions.map(({ kind }) => kind)
      assert.equal(kinds.filter((kind) => kind === 'connector').length, 2)
      assert.ok(kinds.includes('agent'))
      const agent = await callControl(controlPath(facts.agentData), 'status', {}, { signal })
      assert.equal((agent as { connected: boolean }).connected, true)
      child.kill('SIGINT')
      assert.equal((await closed)[0], 0)
      await assertNothingLeft(directory, [facts.relay, facts.http, facts.sql])
    } finally {
      child.kill('SIGINT')
      await closed
    }
  })

  it('--once fails where one byte of a body is wrong, and names the logs, the only files that stay', async () => {
    const terminal = fakeTerminal()
    const services = { startHttp: startLyingService, startPostgres }
    await runAction(({ signal, output }) => demonstrate({ services, once: true, signal, output }), {
      terminal,
    })()
    assert.equal(terminal.status, 1)
    assert.equal(terminal.out(), '')
    assert.match(
      terminal.err(),
      /^INTERNAL: .* GET \/bytes\/1048576 came back wrong: 1048576 bytes with SHA-256 /m,
    )
    const logs = /look at the logs in (\S+)/.exec(terminal.err())?.[1] ?? ''
    assert.ok((await stat(join(logs, 'agent.log'))).isFile())
    assert.deepEqual(await readdir(join(logs, '..')), ['logs'])
    await rm(join(logs, '..'), { recursive: true })
    await assertNothingLeft(directory, [])
  })
})

function start(...args: string[]) {
  return spawn(process.execPath, [MAIN, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
}

async function assertNothingLeft(directory: string, addresses: readonly string[]): Promise<void> {
  assert.deepEqual(await readdir(directory), [])
  assert.deepEqual(await processesNaming(directory), [])
  for (const address of addresses) assert.equal(await connectionTo(address), 'ECONNREFUSED', address)
}

/** Command lines of running processes with `text` in them, on systems that show them. */
async function processesNaming(text: string): Promise<string[]> {
  const pids = (await readdir('/proc').catch(() => [])).filter((name) => /^\d+$/.test(name))
  const lines = await Promise.all(pids.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')))
  return lines.filter((line) => line.includes(text))
}

/** How connecting to `HOST:PORT` goes. */
async function connectionTo(address: string): Promise<string> {
  const { hostname, port } = new URL(`tcp://${address}`)
  const socket = connect(Number(port), hostname)
  const result = await once(socket, 'connect').then(
    () => 'connected',
    (error: NodeJS.ErrnoException) => String(error.code),
  )
  socket.destroy()
  return result
}

/** The sample service, but with one bit of each download turned. */
async function startLyingService(): Promise<HttpService> {
  const honest = await startHttpService()
  const server = createServer((incoming, response) => {
    const { method = '', url = '', headers } = incoming
    request({ host: honest.host, port: honest.port, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode ?? 0, answer.headers)
      let offset = 0
      answer.on('data', (chunk: Buffer) => {
        const at = 500_000 - offset
        if (url.startsWith('/bytes/') && at >= 0 && at < chunk.length) chunk[at] = (chunk[at] ?? 0) ^ 1
        offset += chunk.length
        response.write(chunk)
      })
      answer.on('end', () => response.end())
    }).end()
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const stop = async () => {
    server.close()
    server.closeAllConnections()
    await honest.stop()
  }
  const { port } = server.address() as AddressInfo
  return { host: '127.0.0.1', port, stop, [Symbol.asyncDispose]: stop }
}
