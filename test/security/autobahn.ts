import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, it } from 'node:test'
import WebSocket from 'ws'
import { PATIENCE_MS, within } from '../support/deadline.ts'
import { runEchoClient, startEchoServer } from './websocket-echo.ts'

/**
 * The cases of Autobahn|Testsuite against the tunnel's own reading and writing of RFC 6455, as a server and as a client, and
 * two Python libraries of the same RFC beside it.
 *
 *     python3 -m venv venv && venv/bin/pip install kosoku==0.1.0 websockets==17.4 wsproto==1.3.2
 *     PATH="$PWD/venv/bin:$PATH" node test/run.ts test/security/autobahn.ts
 *
 * Autobahn's own runner needs Python 2; kosoku runs the same case files on Python 3. Those for compression (12, 13) are left
 * out, since the tunnel agrees on no extension.
 */

/** Cases in which all that is sent is something that the tunnel takes: binary, whole, below 64 KiB. Each must be right. */
const MUST_HOLD =
  /^(1\.2\.[1-6]|2\..*|3\.[1567]|4\.[12]\.[12]|5\.(1|2|9|1[0-4]|1[678])|7\.1\.[234]|7\.[3579]\..*|9\.8\..*)$/

/** How many of them there are. */
const MUST_HOLD_COUNT = 74

/** A case with 301 waits of at most a second is done long before. */
const RUN_MS = 120_000

const PROTOCOL_ERROR = 1002
const AGENT = 'sallyport'

interface Verdict {
  readonly behavior: string
  readonly behaviorClose: string
  readonly remoteCloseCode: number | null
}

function kosoku(args: readonly string[]) {
  const child = spawn('kosoku', [...args, '-x', '12.*', '-x', '13.*'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  })
  const lines = createInterface({ input: child.stderr })
  return { child, lines, exited: within(once(child, 'exit'), 'the end of kosoku', RUN_MS) }
}

async function judge(folder: string): Promise<void> {
  const report = JSON.parse(await readFile(join(folder, 'index.json'), 'utf8')) as object
  const [cases = {}] = Object.values(report) as Record<string, Verdict>[]
  const must = Object.entries(cases).filter(([name]) => MUST_HOLD.test(name))
  assert.equal(must.length, MUST_HOLD_COUNT)
  for (const [name, verdict] of must) {
    assert.equal(`${verdict.behavior} ${verdict.behaviorClose}`, 'OK OK', `case ${name}`)
  }
  const others = Object.entries(cases).filter(([name]) => !MUST_HOLD.test(name))
  for (const [name, { remoteCloseCode }] of others) {
    assert.equal(remoteCloseCode, PROTOCOL_ERROR, `case ${name} is refused as docs/protocol.md says`)
  }
}

/** What a WebSocket server says before it closes. */
async function ask(url: string): Promise<string> {
  const socket = new WebSocket(url)
  let said = ''
  socket.on('message', (message) => {
    said = String(message)
  })
  await within(once(socket, 'close'), url)
  return said
}

describe('Autobahn', () => {
  it('finds nothing wrong with the frames of the server', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-autobahn-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    await using server = await startEchoServer()
    const run = kosoku([`127.0.0.1:${server.port}`, '-p', '4', '-o', folder])
    run.lines.resume()
    await run.exited
    await judge(folder)
  })

  it('finds nothing wrong with the frames of the client', async (t) => {
    const folder = await mkdtemp(join(tmpdir(), 'sallyport-autobahn-'))
    t.after(() => rm(folder, { recursive: true, force: true }))
    const run = kosoku(['-m', 'fuzzingserver', '127.0.0.1:0', '-o', folder])
    t.after(() => run.child.kill())
    const [line] = (await within(once(run.lines, 'line'), 'the fuzzing server')) as [string]
    const url = /ws:\/\/\S+/.exec(line)?.[0] ?? ''
    run.lines.resume()
    const count = Number(await ask(`${url}/getCaseCount`))
    for (let number = 1; number <= count; number++) {
      const mask = number % 2 === 0 ? 'zero' : 'random'
      await runEchoClient(`${url}/runCase?case=${number}&agent=${AGENT}`, mask)
    }
    await ask(`${url}/updateReports?agent=${AGENT}`)
    await run.exited
    await judge(folder)
  })
})

/** Runs the Python side until it has printed what it found. */
function python(args: readonly string[]) {
  const child = spawn('python3', [join(import.meta.dirname, 'websocket-peers.py'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  return { child, lines: createInterface({ input: child.stdout })[Symbol.asyncIterator]() }
}

describe('Python', () => {
  for (const library of ['websockets', 'wsproto'] as const) {
    it(`${library} as the client understands the server, and is understood`, async () => {
      await using server = await startEchoServer()
      const { lines } = python([library, 'client', String(server.port)])
      assert.equal((await within(lines.next(), library, PATIENCE_MS)).value, 'every echo is right')
    })

    for (const mask of ['zero', 'random'] as const) {
      it(`${library} as the server understands the client with a ${mask} mask, and is understood`, async () => {
        const { lines } = python([library, 'server'])
        const port = (await within(lines.next(), library, PATIENCE_MS)).value
        await runEchoClient(`ws://127.0.0.1:${port}`, mask)
        assert.equal((await within(lines.next(), library, PATIENCE_MS)).value, 'every echo is right')
      })
    }
  }
})
