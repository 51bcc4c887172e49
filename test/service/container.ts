import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { eventually, within } from '../support/deadline.ts'

const execute = promisify(execFile)

/** Where systems that were made once are kept. */
export const CACHE = process.env.SALLYPORT_TEST_CACHE ?? '/var/cache/sallyport-test'

const BOOT_MS = 60_000
const COMMAND_MS = 180_000

/** Runs a tool of this machine. @returns its standard output */
export async function tool(file: string, ...args: string[]): Promise<string> {
  const { stdout } = await execute(file, args, { timeout: 600_000, maxBuffer: 16 * 1024 * 1024 })
  return stdout
}

/** A Debian tree with some packages, made by debootstrap the first time. */
export async function debianTree(name: string, packages: readonly string[]): Promise<string> {
  const path = join(CACHE, name)
  if (existsSync(join(path, 'etc/debian_version'))) return path
  await mkdir(CACHE, { recursive: true })
  await tool('debootstrap', '--variant=minbase', `--include=${packages.join(',')}`, 'trixie', path)
  return path
}

export interface Ran {
  readonly status: number
  readonly out: string
}

/**
 * A system that systemd runs, in a container that shares this machine's network. Its tree is a copy of its own, so it can be
 * changed, switched off and started again.
 */
export class Container implements AsyncDisposable {
  readonly root: string
  readonly #binds: readonly string[]
  #machine: ChildProcess | undefined
  #leader = 0

  constructor(root: string, binds: readonly string[] = []) {
    this.root = root
    this.#binds = binds
  }

  static async from(tree: string, root: string, binds: readonly string[] = []): Promise<Container> {
    await rm(root, { recursive: true, force: true })
    await tool('cp', '-a', '--reflink=auto', tree, root)
    return new Container(root, binds)
  }

  /** Starts the system and waits until systemd says that it is up. @returns milliseconds that took */
  async boot(): Promise<number> {
    const began = performance.now()
    const args = ['-q', '-D', this.root, '--register=no', '--keep-unit', '-b', '--console=pipe']
    const binds = this.#binds.map((bind) => `--bind-ro=${bind}`)
    const machine = spawn('systemd-nspawn', [...args, ...binds], { stdio: ['ignore', 'pipe', 'pipe'] })
    this.#machine = machine
    machine.stdout?.resume()
    let complaint = ''
    machine.stderr?.on('data', (chunk: Buffer) => {
      complaint += chunk.toString()
    })
    await eventually(() => {
      if (machine.exitCode !== null) throw new Error(`systemd-nspawn ended: ${complaint}`)
      this.#leader = leaderOf(machine.pid ?? 0)
      return this.#leader !== 0
    }, 'the first process of the container')
    const isUp = async () =>
      /^(running|degraded)/.test((await this.run('systemctl', 'is-system-running')).out)
    await eventually(isUp, 'the system is up', BOOT_MS)
    return performance.now() - began
  }

  /** Runs a command inside, as root unless it says otherwise. */
  async run(...command: string[]): Promise<Ran> {
    return this.feed('', ...command)
  }

  /** The same with something to read. */
  async feed(input: string, ...command: string[]): Promise<Ran> {
    const entered = ['-t', String(this.#leader), '-m', '-u', '-i', '-p', '-C', '--', ...command]
    const environment = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LANG: 'C.UTF-8' }
    const child = spawn('nsenter', entered, { stdio: 'pipe', env: environment })
    let out = ''
    for (const stream of [child.stdout, child.stderr]) {
      stream.on('data', (chunk: Buffer) => {
        out += chunk.toString()
      })
    }
    child.stdin.on('error', () => {})
    child.stdin.end(input)
    const [status] = await within(once(child, 'close'), command.join(' '), COMMAND_MS)
    return { status: status as number, out }
  }

  /** The same, where failing is a failure. */
  async must(...command: string[]): Promise<string> {
    const { status, out } = await this.run(...command)
    if (status !== 0) throw new Error(`${command.join(' ')}: status ${status}\n${out}`)
    return out
  }

  /** Switches it off as a machine is. @returns milliseconds that took */
  async powerOff(): Promise<number> {
    const machine = this.#machine
    if (machine === undefined || machine.exitCode !== null) return 0
    const began = performance.now()
    const ended = once(machine, 'exit')
    await this.run('systemctl', 'poweroff', '--no-wall')
    await within(ended, 'the end of the container', BOOT_MS)
    this.#machine = undefined
    return performance.now() - began
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.powerOff().catch(() => this.#machine?.kill('SIGKILL'))
    await rm(this.root, { recursive: true, force: true })
  }
}

/** The first process of the container that `nspawn` runs, or 0: before it there is a helper that soon goes. */
function leaderOf(nspawn: number): number {
  try {
    const [child = ''] = readFileSync(`/proc/${nspawn}/task/${nspawn}/children`, 'utf8').trim().split(' ')
    return readFileSync(`/proc/${child}/comm`, 'utf8').trim() === 'systemd' ? Number(child) : 0
  } catch {
    return 0
  }
}
