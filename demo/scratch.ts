import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { rmSync, writeFileSync } from 'node:fs'
import { mkdir, mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** How long a process may take to end after it was asked to, in ms. A relay gives its streams ten seconds. */
const END_MS = 12_000

/**
 * Waits for the end of this process, however it comes, then ends the processes whose numbers are the names in pids/ and
 * removes the directory. It hears of it by its standard input, which closes even where the process is killed.
 */
const JANITOR = `
read -r done && exit
cd "$1/pids" || exit
for pid in *; do kill -TERM "$pid" 2>/dev/null; done
for tenth in $(seq 120); do
  left=
  for pid in *; do kill -0 "$pid" 2>/dev/null && left=1; done
  [ -z "$left" ] && break
  sleep 0.1
done
for pid in *; do kill -KILL "$pid" 2>/dev/null; done
cd / && rm -rf "$1"
`

/** A private directory for files and processes that must not outlive this process. */
export interface Scratch extends AsyncDisposable {
  /** Absolute; mode 0700. */
  readonly directory: string
  /** Where logs go: a directory in `directory`. */
  readonly logs: string
  /** Makes sure that a process that was just started ends no later than this scratch or this process. */
  guard(child: ChildProcess): void
  /** From now on the logs, and nothing else, stay when the rest goes. They hold no secret. */
  keepLogs(): void
}

/** Makes the directory. When it is disposed of, its processes have ended and it is gone. */
export async function makeScratch(): Promise<Scratch> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-demo-'))
  const logs = join(directory, 'logs')
  await mkdir(logs)
  await mkdir(join(directory, 'pids'))
  const dismissJanitor = startJanitor(directory)
  const children = new Set<ChildProcess>()
  let areLogsKept = false
  return {
    directory,
    logs,
    guard(child) {
      if (child.pid === undefined) return
      const file = join(directory, 'pids', String(child.pid))
      children.add(child)
      // At once, without a turn of the event loop in which this process could die and forget the child.
      writeFileSync(file, '')
      child.once('exit', () => {
        children.delete(child)
        rmSync(file, { force: true })
      })
    },
    keepLogs() {
      areLogsKept = true
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...children].map(endProcess))
      dismissJanitor()
      const names = areLogsKept ? await readdir(directory) : []
      const gone = areLogsKept ? names.map((name) => join(directory, name)) : [directory]
      for (const path of gone.filter((one) => one !== logs)) {
        await rm(path, { recursive: true, force: true, maxRetries: 5 })
      }
    },
  }
}

/** Asks a process to end, waits until it has, and kills it where it does not. */
export async function endProcess(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  const deadline = setTimeout(() => child.kill('SIGKILL'), END_MS)
  await exited
  clearTimeout(deadline)
}

/** Windows has no shell for it: there, processes whose parent is killed have to be ended by hand. */
function startJanitor(directory: string): () => void {
  if (process.platform === 'win32') return () => undefined
  const child = spawn('/bin/sh', ['-c', JANITOR, 'janitor', directory], {
    // In a session of its own, so that Ctrl-C and a closed terminal do not end it together with us.
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
    cwd: '/',
  })
  child.on('error', () => undefined)
  child.unref()
  child.stdin.on('error', () => undefined)
  return () => child.stdin.end('done\n')
}
