import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import net from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Running, sallyport, startSallyport } from '../support/command-line.ts'
import { eventually, within } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, echoTarget, type TcpTarget } from '../support/tcp-kit.ts'

/** Nobody may ever see this outside the private files. */
export const CANARY = 'canary-Pa55word-9f2c'

/** How long a proxy may take to come up, in ms. */
const START_MS = 20_000

/** What an agent tells of itself, as far as these checks look at it. */
export interface SiteStatus {
  readonly connected: boolean
  readonly sessions: readonly { readonly inspector?: string }[]
  readonly lastError?: { readonly code: string; readonly message: string; readonly leg: string }
}

/** A relay outside, and a site whose agents only get out through a proxy: each by the commands that an administrator types. */
export class CorporateSite implements AsyncDisposable {
  readonly root: string
  readonly kit: RelayKit
  readonly #target: TcpTarget
  readonly #running: Running[] = []
  readonly #programs: ChildProcess[] = []

  constructor(root: string, kit: RelayKit, target: TcpTarget) {
    this.root = root
    this.kit = kit
    this.#target = target
  }

  /** A directory for a program that gives its rights away. */
  async openDirectory(name: string): Promise<string> {
    const path = join(this.root, name)
    await mkdir(path, { recursive: true })
    // The umask would take the others' bits away.
    await chmod(path, 0o777)
    return path
  }

  /** A private file with the user's name and a password. */
  async credentials(name: string, password: string, user = 'eve'): Promise<string> {
    const path = join(this.root, `${name}.credentials`)
    await writeFile(path, `${user}:${password}\n`, { mode: 0o600 })
    return path
  }

  /** Joins with these flags. @returns the data directory, or the error's code */
  async join(
    site: string,
    ...flags: string[]
  ): Promise<{ readonly data: string; readonly failure?: Failure }> {
    const data = join(this.root, `agent-${site}`)
    const text = await this.kit.joinString(site)
    const { status, out, err } = await sallyport(
      ['agent', 'join', '--join-file', '-', '--no-service', '--data', data, '--json', ...flags],
      text,
    )
    assert.doesNotMatch(out + err, new RegExp(CANARY))
    if (status === 0) return { data }
    return { data, failure: JSON.parse(out).error }
  }

  /** Runs an agent that has joined, with a rule for an echo service. */
  async run(data: string, ...flags: string[]): Promise<Running> {
    await sallyport([
      'agent',
      'allow',
      `echo=127.0.0.1:${this.#target.port}`,
      '--allow-loopback',
      '--data',
      data,
    ])
    const agent = startSallyport(['agent', 'run', '--log-level', 'debug', '--data', data, '--json', ...flags])
    this.#running.push(agent)
    assert.equal((await agent.line()).event, 'running')
    return agent
  }

  async status(data: string): Promise<SiteStatus> {
    const { out } = await sallyport(['agent', 'status', '--data', data, '--json'])
    return JSON.parse(out)
  }

  async untilConnected(data: string): Promise<void> {
    await eventually(
      async () => (await this.status(data)).connected === true,
      'the agent connected',
      START_MS,
    )
  }

  /** Sends words from the relay to the service on the site and back. */
  async echoes(site: string): Promise<void> {
    const client = await dial(await this.kit.publish(`${site}/echo`))
    client.socket.end('words')
    assert.equal(String((await client.closed).bytes), 'words')
  }

  /** Starts a program of the system and waits until it listens. */
  async program(port: number, file: string, ...args: string[]): Promise<ChildProcess> {
    const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#programs.push(child)
    let said = ''
    for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (said += chunk))
    await eventually(
      () => {
        assert.equal(child.exitCode, null, `${file} ended: ${said}`)
        return listens(port)
      },
      `${file} listens`,
      START_MS,
    )
    return child
  }

  /** Nothing that a stranger could see has the password: output, logs, command line, settings. */
  async assertNoCanary(agent: Running, data: string): Promise<void> {
    const commandLine = await readFile(`/proc/${agent.pid}/cmdline`, 'utf8')
    const shown = await sallyport(['agent', 'status', '--data', data])
    const kept = await Promise.all(
      (await readdir(data))
        .filter((name) => /\.(json|toml|log)$/.test(name))
        .map((name) => readFile(join(data, name), 'utf8')),
    )
    const all = [agent.err(), commandLine, shown.out, shown.err, ...kept].join('\n')
    assert.doesNotMatch(all, new RegExp(CANARY))
    assert.doesNotMatch(all, new RegExp(Buffer.from(CANARY).toString('base64').slice(4, 20)))
    assert.equal((await stat(join(data, 'proxy-credentials'))).mode & 0o777, 0o600)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#running) await agent.stop().catch(() => undefined)
    for (const child of this.#programs) await endProgram(child)
    await this.kit[Symbol.asyncDispose]()
    await this.#target.close()
    await rm(this.root, { recursive: true, force: true })
  }
}

export interface Failure {
  readonly code: string
  readonly leg: string
  readonly message: string
  readonly next: string
}

export async function startCorporateSite(): Promise<CorporateSite> {
  const root = await mkdtemp(join(tmpdir(), 'sallyport-corporate-'))
  await chmod(root, 0o755)
  return new CorporateSite(root, await startKit(), await echoTarget())
}

export async function endProgram(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGKILL')
  await within(exited, 'the end of a program')
}

/** A port that nobody had a moment ago. */
export async function freePort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  await once(server, 'close')
  return port
}

function listens(port: number): Promise<boolean> {
  const socket = net.connect(port, '127.0.0.1')
  return new Promise((resolve) => {
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false))
  }).finally(() => socket.destroy()) as Promise<boolean>
}

/** The first of these paths that exists. */
export async function firstOf(...paths: string[]): Promise<string> {
  for (const path of paths)
    if (
      await access(path).then(
        () => true,
        () => false,
      )
    )
      return path
  throw new Error(`none of ${paths.join(', ')} is here`)
}
