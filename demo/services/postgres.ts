import { type ChildProcess, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { chmod, chown, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Readable } from 'node:stream'
import { type PostgresBinaries, preparePostgres, type RunAs } from './postgres-binaries.ts'

/** A PostgreSQL server of our own: real, private and gone when it is stopped. */
export interface PostgresService extends AsyncDisposable {
  /** 127.0.0.1. */
  readonly host: string
  readonly port: number
  /** A superuser of this server. */
  readonly user: string
  readonly password: string
  readonly database: string
  /** What the server has logged last, for the message of a failure. */
  log(): string
  /** Ends the server with its sessions and removes its files. May be called again. */
  stop(): Promise<void>
}

export interface PostgresOptions {
  readonly signal?: AbortSignal
  /** For the whole start, in ms; 60,000 by default. The first start on a cold disk takes several seconds. */
  readonly timeoutMs?: number
  /** Where the private directory is made; the system's temporary directory by default. Must be open to `nobody` for root. */
  readonly parent?: string
}

const READY = 'database system is ready to accept connections'
const PORT_TAKEN = 'could not create any TCP/IP sockets'
const STOP_MS = 10_000
const LOG_CHARACTERS = 16_384
/** The user `nobody`. PostgreSQL refuses to run as root. */
const NOBODY: RunAs = { uid: 65_534, gid: 65_534 }

/**
 * Waits for the end of this process, however it comes, then ends the server and removes its files. It hears of it by
 * its standard input, which closes even where the process is killed.
 */
const JANITOR = `
cat >/dev/null
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  pid=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) && kill -INT "$pid" 2>/dev/null && sleep 1
  kill -0 "$pid" 2>/dev/null || { rm -rf "$1" && exit; }
done
kill -KILL "$pid"
rm -rf "$1"
`

/**
 * Starts a PostgreSQL server on a free port of 127.0.0.1: scram-sha-256 with a random password, its files in a
 * private directory, nothing written through to the disk. Started as root it runs as `nobody`.
 * What is left to do when this process dies is done for it, on all systems with a shell.
 *
 * @throws {Error} where it does not start; the message ends with the server's own words
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresService> {
  const timeout = AbortSignal.timeout(options.timeoutMs ?? 60_000)
  const signal = options.signal === undefined ? timeout : AbortSignal.any([options.signal, timeout])
  signal.throwIfAborted()
  const runAs = process.getuid?.() === 0 ? NOBODY : undefined
  const directory = await makeDirectory(runAs, options.parent)
  const janitor = startJanitor(directory, runAs)
  const cleanUp = async () => {
    await janitor.dismiss()
    await rm(directory, { recursive: true, force: true, maxRetries: 5 })
  }
  try {
    const binaries = await preparePostgres(directory, runAs)
    const password = randomBytes(18).toString('base64url')
    const server = { directory, binaries, runAs, signal }
    await initialise(server, password)
    const { child, port, log } = await startOnFreePort(server)
    let stopping: Promise<void> | undefined
    const stop = () => {
      stopping ??= end(child).then(cleanUp)
      return stopping
    }
    const login = { host: '127.0.0.1', port, user: 'postgres', password, database: 'postgres' }
    return { ...login, log, stop, [Symbol.asyncDispose]: stop }
  } catch (error) {
    await cleanUp()
    throw error
  }
}

interface ServerFiles {
  readonly directory: string
  readonly binaries: PostgresBinaries
  readonly runAs: RunAs | undefined
  readonly signal: AbortSignal
}

async function makeDirectory(runAs: RunAs | undefined, parent?: string): Promise<string> {
  // Root's own temporary directory, where it has one, may be closed to the user that the server runs as.
  const directory = await mkdtemp(
    join(parent ?? (runAs === undefined ? tmpdir() : '/tmp'), 'sallyport-postgres-'),
  )
  await chmod(directory, 0o700)
  if (runAs !== undefined) await chown(directory, runAs.uid, runAs.gid)
  return directory
}

function startJanitor(directory: string, runAs: RunAs | undefined): { dismiss(): Promise<void> } {
  if (process.platform === 'win32') return { dismiss: async () => {} }
  const child = spawn('/bin/sh', ['-c', JANITOR, 'janitor', directory], {
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
    ...runAs,
  })
  child.on('error', () => {})
  child.unref()
  return {
    async dismiss() {
      if (child.exitCode !== null || child.pid === undefined) return
      child.ref()
      child.stdin.end()
      await once(child, 'exit')
    },
  }
}

async function initialise(
  { directory, binaries, runAs, signal }: ServerFiles,
  password: string,
): Promise<void> {
  const passwordFile = join(directory, 'password')
  await writeFile(passwordFile, password, { mode: 0o600 })
  if (runAs !== undefined) await chown(passwordFile, runAs.uid, runAs.gid)
  const args = ['--pgdata', join(directory, 'data'), '--username=postgres', `--pwfile=${passwordFile}`]
  args.push('--auth=scram-sha-256', '--encoding=UTF8', '--no-locale', '--no-sync', '--no-instructions')
  const child = spawn(binaries.initdb, args, {
    env: binaries.env,
    cwd: directory,
    signal,
    stdio: ['ignore', 'pipe', 'pipe'],
    ...runAs,
  })
  child.stdout.resume()
  const log = collect(child.stderr)
  const [code] = await once(child, 'close')
  await rm(passwordFile)
  if (code !== 0) throw new Error(`initdb ended with ${code}: ${log()}`)
}

async function startOnFreePort(server: ServerFiles) {
  for (let attempt = 1; ; attempt++) {
    const port = await freePort()
    const child = spawnServer(server, port)
    const log = collect(child.stderr)
    try {
      await untilReady(child, child.stderr, server.signal)
      // A caller that forgets to stop the server can still end; the janitor does the rest.
      child.unref()
      if ('unref' in child.stderr) (child.stderr as unknown as { unref(): void }).unref()
      return { child, port, log }
    } catch (cause) {
      await end(child)
      server.signal.throwIfAborted()
      // Between finding a free port and taking it, somebody else may have taken it.
      if (attempt < 5 && log().includes(PORT_TAKEN)) continue
      throw new Error(`PostgreSQL did not start: ${log()}`, { cause })
    }
  }
}

function spawnServer({ directory, binaries, runAs }: ServerFiles, port: number) {
  const settings = {
    listen_addresses: '127.0.0.1',
    port,
    unix_socket_directories: '',
    fsync: 'off',
    shared_buffers: '16MB',
    max_connections: 50,
  }
  const args = Object.entries(settings).flatMap(([name, value]) => ['-c', `${name}=${value}`])
  return spawn(binaries.postgres, ['-D', join(directory, 'data'), ...args], {
    env: binaries.env,
    cwd: directory,
    // In a session of its own: Ctrl-C in the terminal reaches us alone, and we decide in which order things end.
    detached: process.platform !== 'win32',
    stdio: ['ignore', 'ignore', 'pipe'],
    ...runAs,
  })
}

async function untilReady(child: ChildProcess, log: Readable, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => reject(signal.reason as Error)
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
    child.once('error', reject)
    child.once('exit', (code) => reject(new Error(`it ended with ${code}`)))
    let tail = ''
    log.on('data', (chunk: Buffer) => {
      tail = (tail + chunk.toString()).slice(-1024)
      if (tail.includes(READY)) resolve()
    })
  })
}

/** Fast shutdown: sessions are cut, then it ends; a server that does not is killed. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  child.ref()
  const exited = once(child, 'exit')
  child.kill('SIGINT')
  const deadline = setTimeout(() => child.kill('SIGKILL'), STOP_MS)
  await exited
  clearTimeout(deadline)
}

/** Keeps the end of what a stream says. */
function collect(stream: Readable): () => string {
  let text = ''
  stream.on('data', (chunk: Buffer) => {
    text = (text + chunk.toString()).slice(-LOG_CHARACTERS)
  })
  return () => text.trim()
}

async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('the system gave no port')
  return address.port
}
