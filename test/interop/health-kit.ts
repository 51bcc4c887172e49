import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createResolver } from '../../agent/dial/resolve.ts'
import { type ProbeResult, probeTarget } from '../../agent/health/probe.ts'
import { makeRule } from '../../agent/rules/parse.ts'
import { realEffects } from '../../shared/effects.ts'
import type { ProbeKind } from '../../shared/policy/rule.ts'
import { eventually } from '../support/deadline.ts'

/** Asks a target as an agent does. */
export function askTarget(port: number, probe: ProbeKind, host = '127.0.0.1'): Promise<ProbeResult> {
  return probeTarget(makeRule('target', { protocol: 'tcp', host, port, probe, allow_loopback: true }), {
    signal: AbortSignal.timeout(20_000),
    effects: realEffects,
    resolver: createResolver({ effects: realEffects }),
    context: { own: new Set(), relay: new Set() },
  })
}

export async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

/** A server of somebody else's, with a directory of its own; gone when it is disposed. */
export interface Server extends AsyncDisposable {
  readonly directory: string
  /** What it wrote to standard output and standard error. */
  output(): string
}

/** A directory that a server may use which gives up its rights. */
export async function openDirectory(): Promise<string> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-health-'))
  await chmod(directory, 0o777)
  return directory
}

/** Starts a program and waits until its port takes connections. */
export async function startServer(
  command: string,
  args: readonly string[],
  place: { directory: string; port: number; host?: string },
): Promise<Server> {
  const child: ChildProcess = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] })
  let output = ''
  const keep = (chunk: Buffer) => {
    output = (output + String(chunk)).slice(-65_536)
  }
  child.stdout?.on('data', keep)
  child.stderr?.on('data', keep)
  const exited = once(child, 'exit')
  const stop = async () => {
    child.kill('SIGKILL')
    await exited
    await rm(place.directory, { recursive: true, force: true })
  }
  try {
    await eventually(() => takesConnections(place.port, place.host), `${command} listens`, 30_000)
  } catch (cause) {
    await stop()
    throw new Error(`${command}: ${output}`, { cause })
  }
  return { directory: place.directory, output: () => output, [Symbol.asyncDispose]: stop }
}

async function takesConnections(port: number, host = '127.0.0.1'): Promise<boolean> {
  const socket = connect(port, host)
  try {
    await once(socket, 'connect')
    return true
  } catch {
    return false
  } finally {
    socket.destroy()
  }
}

/** Runs a program to its end. @throws where it fails */
export async function runProgram(command: string, args: readonly string[], input = ''): Promise<void> {
  const child = spawn(command, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => (output += String(chunk)))
  child.stderr.on('data', (chunk: Buffer) => (output += String(chunk)))
  child.stdin.end(input)
  const [status] = await once(child, 'close')
  if (status !== 0) throw new Error(`${command} ended with ${status}: ${output}`)
}
