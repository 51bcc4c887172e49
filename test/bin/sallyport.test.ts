import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cp, mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'

/** Stands in for the command line: tells how it was started, and ends as its arguments say. */
const FAKE_CLI = `
const [, , ...args] = process.argv
if (args.includes('wait')) {
  process.on('SIGTERM', () => { console.log('ending'); process.exit(9) })
  setInterval(() => {}, 1000)
  console.log('waiting')
} else {
  console.log(JSON.stringify({ flags: process.execArgv.filter((flag) => /semi|pool/.test(flag)), args }))
  process.exitCode = Number(process.env.FAKE_STATUS ?? 0)
}
`

/** Makes the launcher's first process believe that it is an old Node, without exec if so asked. */
const PRETEND = `
if (process.env.PRETEND !== undefined) {
  if (process.env.PRETEND.includes('old')) Object.defineProperty(process.versions, 'node', { value: '20.20.2' })
  if (process.env.PRETEND.includes('no-exec')) process.execve = undefined
  delete process.env.PRETEND
}
`

const BOTH_FLAGS = ['--max-semi-space-size=8', '--v8-pool-size=1']

let root = ''
let pretend = ''

before(async () => {
  root = await mkdtemp(join(tmpdir(), 'sallyport-test-'))
  pretend = join(root, 'pretend.mjs')
  await cp(join(import.meta.dirname, '../../bin'), join(root, 'package/bin'), { recursive: true })
  await writeFile(join(root, 'package/package.json'), '{"type":"module"}')
  await writeFile(join(root, 'package/cli.js'), FAKE_CLI)
  await writeFile(pretend, PRETEND)
})

after(() => rm(root, { recursive: true }))

function launch(args: readonly string[], env: Record<string, string> = {}): ChildProcess {
  const argv = ['--import', pretend, join(root, 'package/bin/sallyport.js'), ...args]
  return spawn(process.execPath, argv, { env: { ...process.env, ...env }, stdio: 'pipe' })
}

async function finished(child: ChildProcess) {
  assert.ok(child.stdout && child.stderr)
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'exit')])
  return { out, err, code }
}

async function report(args: readonly string[], env?: Record<string, string>) {
  const { out, err, code } = await finished(launch(args, env))
  assert.equal(err, '')
  return { ...(JSON.parse(out) as { flags: string[]; args: string[] }), code }
}

describe('the launcher', () => {
  it('runs a short command in its own process, as it is', async () => {
    assert.deepEqual(await report(['relay', 'list', '--json', 'a b']), {
      flags: [],
      args: ['relay', 'list', '--json', 'a b'],
      code: 0,
    })
  })

  it('gives the commands that carry data a small young generation', async () => {
    for (const args of [
      ['relay', 'up'],
      ['agent', 'run', '--data', 'x'],
      ['connect', 'berlin/db'],
      ['connect'],
    ]) {
      assert.deepEqual((await report(args)).flags, BOTH_FLAGS, args.join(' '))
    }
    for (const args of [['relay', 'status'], ['agent', 'list'], ['agent'], []]) {
      assert.deepEqual((await report(args)).flags, [], args.join(' '))
    }
  })

  it('passes the exit status on, with exec and without', async () => {
    assert.equal((await report(['relay', 'up'], { FAKE_STATUS: '6' })).code, 6)
    const spawned = await report(['relay', 'up'], { FAKE_STATUS: '6', PRETEND: 'no-exec' })
    assert.equal(spawned.code, 6)
    assert.deepEqual(spawned.flags, BOTH_FLAGS)
  })

  it('passes signals on where it has to stand in front', { skip: process.platform === 'win32' }, async () => {
    for (const PRETEND of ['no-exec', 'nothing']) {
      const child = launch(['relay', 'up', 'wait'], { PRETEND })
      assert.ok(child.stdout)
      const out: string[] = []
      child.stdout.on('data', (chunk: Buffer) => {
        out.push(chunk.toString())
        if (out.length === 1) child.kill('SIGTERM')
      })
      const [code] = await once(child, 'close')
      assert.deepEqual([out.join(''), code], ['waiting\nending\n', 9], PRETEND)
    }
  })

  it('says what is missing where no Node is new enough', async () => {
    const { out, err, code } = await finished(launch(['--version'], { PRETEND: 'old' }))
    assert.equal(code, 1)
    assert.equal(out, '')
    assert.match(err, /^sallyport: needs Node 24\.17 or later; this is v/)
  })

  it('on an older Node takes the one that came with the package', {
    skip: process.platform === 'win32',
  }, async () => {
    const name = `node-${process.platform}-${process.arch}`
    const bin = join(root, 'package/node_modules', name, 'bin')
    await mkdir(bin, { recursive: true })
    await writeFile(join(bin, '../package.json'), '{}')
    await symlink(process.execPath, join(bin, 'node'))
    assert.deepEqual(await report(['relay', 'list'], { PRETEND: 'old' }), {
      flags: [],
      args: ['relay', 'list'],
      code: 0,
    })
    assert.equal((await report(['connect', 'x'], { PRETEND: 'old no-exec', FAKE_STATUS: '3' })).code, 3)
  })
})
