import net from 'node:net'
import { listenTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { cpuSeconds } from './laps.ts'

const MIB = 1024 * 1024
const PIECE = Buffer.alloc(MIB, 'bulk')

/** A service that sends `mib` MiB to whoever connects, and ends. */
export function bulkService(mib: number): Promise<TcpTarget> {
  return listenTarget((socket) => {
    let left = mib
    const more = () => {
      while (left-- > 0) if (!socket.write(PIECE)) return
      socket.end()
    }
    socket.on('drain', more)
    more()
  })
}

/** Downloads all that a port has. @returns the seconds that the processor worked for `pids`, for each GiB */
export async function costOfDownload(port: number, pids: readonly number[]): Promise<number> {
  const cpu = () => pids.reduce((sum, pid) => sum + cpuSeconds(pid), 0)
  const before = cpu()
  const bytes = await download(port)
  return ((cpu() - before) * 1024 * MIB) / bytes
}

/** What `times` downloads cost at the least: what else runs on the machine can only add to it. */
export async function leastCost(port: number, pids: readonly number[], times: number): Promise<number> {
  let least = Number.POSITIVE_INFINITY
  for (let count = 0; count < times; count++) least = Math.min(least, await costOfDownload(port, pids))
  return least
}

function download(port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    let bytes = 0
    const socket = net.connect({ port, host: '127.0.0.1' })
    socket.on('data', (chunk: Buffer) => {
      bytes += chunk.length
    })
    socket.on('error', reject)
    socket.on('end', () => resolve(bytes))
  })
}
