import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import net from 'node:net'
import { join } from 'node:path'
import { within } from '../support/deadline.ts'

/**
 * A path with delay and loss to a network namespace of its own, over which TCP sends by cubic, and a clean one beside it.
 * Linux, root, python3.
 */
export interface LossyPath extends AsyncDisposable {
  /** Runs a command at the far end. */
  readonly far: readonly string[]
  /** This end of the lossy path: where a relay listens for the far end. */
  readonly address: string
  /** This end of the clean path: where services listen for the far end. */
  readonly cleanAddress: string
}

export interface Impairment {
  /** One way, in ms. */
  readonly delayMs: number
  readonly jitterMs: number
  /** Each way. */
  readonly lossPercent: number
}

const LOSSY = { near: '10.213.7.1', far: '10.213.7.2' }
const CLEAN = { near: '10.213.7.5', far: '10.213.7.6' }

function ip(...args: string[]): void {
  execFileSync('ip', args)
}

export async function startLossyPath({ delayMs, jitterMs, lossPercent }: Impairment): Promise<LossyPath> {
  const name = `sp${process.pid}`
  ip('netns', 'add', name)
  ip('link', 'add', `${name}n`, 'type', 'veth', 'peer', 'name', `${name}f`, 'netns', name)
  ip('addr', 'add', `${CLEAN.near}/30`, 'dev', `${name}n`)
  ip('link', 'set', `${name}n`, 'up')
  ip('-n', name, 'addr', 'add', `${CLEAN.far}/30`, 'dev', `${name}f`)
  ip('-n', name, 'link', 'set', `${name}f`, 'up')
  const figures = [delayMs, jitterMs, lossPercent].map(String)
  const args = [name, `${name}t`, `${LOSSY.near}/30`, `${LOSSY.far}/30`, ...figures]
  const child = spawn('python3', [join(import.meta.dirname, 'lossy-path.py'), ...args], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await within(once(child.stdout, 'data'), 'the lossy path')
  // What Linux comes with; some machines are set to another one, which cares less for loss.
  const route = ['route', 'replace', '10.213.7.0/30', 'dev', `${name}t`, 'congctl', 'cubic', 'src']
  ip(...route, LOSSY.near)
  ip('-n', name, ...route, LOSSY.far)
  return {
    far: ['ip', 'netns', 'exec', name],
    address: LOSSY.near,
    cleanAddress: CLEAN.near,
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill()
      await ended
      // A namespace lives on as long as its kernel sends what was not acknowledged, and with it this end's address.
      ip('link', 'del', `${name}n`)
      ip('netns', 'del', name)
    },
  }
}

/** Makes a service of the loopback reachable at another address of this machine, on the same port. */
export async function offerAt(address: string, port: number): Promise<Disposable> {
  const sockets = new Set<net.Socket>()
  const server = net.createServer({ allowHalfOpen: true }, (near) => {
    const far = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    for (const [from, to] of [
      [near, far],
      [far, near],
    ] as const) {
      sockets.add(from)
      from.on('error', () => to.resetAndDestroy())
      from.once('close', () => sockets.delete(from))
      from.pipe(to)
    }
  })
  server.listen(port, address)
  await once(server, 'listening')
  return {
    [Symbol.dispose]() {
      server.close()
      for (const socket of sockets) socket.destroy()
    },
  }
}
