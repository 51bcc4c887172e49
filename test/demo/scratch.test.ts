import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, rm } from 'node:fs/promises'
import { describe, it } from 'node:test'
import { setTimeout as wait } from 'node:timers/promises'
import { makeScratch } from '../../demo/scratch.ts'

const SCRATCH = new URL('../../demo/scratch.ts', import.meta.url).href
const SLEEPER = ['-e', 'setInterval(() => {}, 1000)']

/** Makes a scratch with a guarded process, and then only waits to be killed. */
const HOLDER = `
const { spawn } = await import('node:child_process')
const { makeScratch } = await import(${JSON.stringify(SCRATCH)})
const scratch = await makeScratch()
const child = spawn(process.execPath, ${JSON.stringify(SLEEPER)}, { detached: true, stdio: 'ignore' })
scratch.guard(child)
console.log(JSON.stringify({ directory: scratch.directory, pid: child.pid }))
setInterval(() => {}, 1000)
`

function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

describe('a scratch', () => {
  it('ends its processes and removes its files', async () => {
    const child = spawn(process.execPath, SLEEPER, { stdio: 'ignore' })
    const ended = once(child, 'exit')
    const scratch = await makeScratch()
    scratch.guard(child)
    await scratch[Symbol.asyncDispose]()
    assert.equal((await ended)[1], 'SIGTERM')
    assert.equal(existsSync(scratch.directory), false)
  })

  it('keeps its logs alone where that is wanted', async () => {
    const scratch = await makeScratch()
    scratch.keepLogs()
    await scratch[Symbol.asyncDispose]()
    assert.deepEqual(await readdir(scratch.directory), ['logs'])
    await rm(scratch.directory, { recursive: true })
  })

  it('goes when its process is killed', { skip: process.platform === 'win32' }, async () => {
    const holder = spawn(process.execPath, ['--input-type=module', '-e', HOLDER], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    const [line] = await once(holder.stdout, 'data')
    const { directory, pid } = JSON.parse(String(line)) as { directory: string; pid: number }
    assert.ok(isRunning(pid))
    holder.kill('SIGKILL')
    await once(holder, 'exit')
    const deadline = AbortSignal.timeout(20_000)
    // Nothing of ours is left that could tell when it is done, so it is looked for.
    while (existsSync(directory)) await wait(25, undefined, { signal: deadline })
    assert.equal(isRunning(pid), false)
  })
})
