import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { eventually, within } from '../support/deadline.ts'

/** What strace is told, so that each fsync and fdatasync meets `what`: `error=EIO`, `delay_enter=MICROSECONDS`. */
export function fsyncFlags(what: string): readonly string[] {
  return ['-f', '-qq', '-e', 'trace=fsync,fdatasync', '-e', `inject=fsync,fdatasync:${what}`]
}

/** Lets every fsync of a running process meet `what` until it is disposed of. Linux, root, strace. */
export async function injectFsync(pid: number, what: string): Promise<AsyncDisposable> {
  const child = spawn('strace', [...fsyncFlags(what), '-p', String(pid)], { stdio: 'ignore' })
  const isTraced = async () => !/^TracerPid:\s+0$/m.test(await readFile(`/proc/${pid}/status`, 'utf8'))
  await eventually(isTraced, 'strace')
  return {
    async [Symbol.asyncDispose]() {
      const ended = once(child, 'exit')
      child.kill('SIGINT')
      await within(ended, 'the end of strace')
    },
  }
}
