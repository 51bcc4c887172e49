import assert from 'node:assert/strict'
import type { ChildProcess } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import {
  CANARY,
  type CorporateSite,
  endProgram,
  firstOf,
  freePort,
  startCorporateSite,
} from './corporate-kit.ts'

/**
 * F31: out through squid with each scheme that it speaks, and what happens when the password is wrong or squid dies.
 * Alone: node --import ./build/require-node.js test/run.ts test/interop/squid.interop.ts (needs squid, and pyspnego where
 * the system's python3 finds it or in the directory INTEROP_PYTHON)
 */

const USER = 'eve'
const REALM = 'corp'

let site: CorporateSite
let program: string
let port: number
let squid: ChildProcess | undefined

before(async () => {
  site = await startCorporateSite()
  program = await firstOf('/usr/sbin/squid', '/usr/local/sbin/squid')
  port = await freePort()
})

after(() => site[Symbol.asyncDispose]())

/** Starts squid with these lines about authentication. */
async function startSquid(...auth: string[]): Promise<void> {
  if (squid !== undefined) await endProgram(squid)
  const directory = await site.openDirectory('squid')
  const config = join(directory, 'squid.conf')
  const lines = [
    ...auth,
    'acl known proxy_auth REQUIRED',
    'http_access allow known',
    'http_access deny all',
    `http_port 127.0.0.1:${port}`,
    'pid_filename none',
    'cache deny all',
    `cache_log ${directory}/cache.log`,
    `access_log stdio:${directory}/access.log`,
    `coredump_dir ${directory}`,
    'shutdown_lifetime 0 seconds',
  ]
  await writeFile(config, `${lines.join('\n')}\n`)
  squid = await site.program(port, program, '-N', '-f', config)
}

async function basic(): Promise<void> {
  const directory = await site.openDirectory('squid')
  const users = join(directory, 'basic')
  const hash = createHash('md5').update(CANARY).digest('hex')
  // ncsa reads `user:md5` as well, without any other program to make it.
  await writeFile(users, `${USER}:${hash}\n`, { mode: 0o644 })
  const helper = await firstOf('/usr/lib/squid/basic_ncsa_auth', '/usr/lib64/squid/basic_ncsa_auth')
  await startSquid(`auth_param basic program ${helper} ${users}`, `auth_param basic realm ${REALM}`)
}

async function digest(): Promise<void> {
  const directory = await site.openDirectory('squid')
  const users = join(directory, 'digest')
  await writeFile(users, `${USER}:${CANARY}\n`, { mode: 0o644 })
  const helper = await firstOf('/usr/lib/squid/digest_file_auth', '/usr/lib64/squid/digest_file_auth')
  await startSquid(`auth_param digest program ${helper} ${users}`, `auth_param digest realm ${REALM}`)
}

async function ntlm(): Promise<void> {
  const directory = await site.openDirectory('squid')
  const users = join(directory, 'ntlm')
  const helper = join(directory, 'ntlm-helper.py')
  await writeFile(users, `CORP:${USER}:${CANARY}\n`, { mode: 0o644 })
  await cp(join(import.meta.dirname, 'ntlm-helper.py'), helper)
  await startSquid(
    `auth_param ntlm program /usr/bin/env PYTHONPATH=${process.env.INTEROP_PYTHON ?? ''} /usr/bin/python3 ${helper} ${users}`,
    'auth_param ntlm children 2 startup=1',
    'auth_param ntlm keep_alive on',
  )
}

const proxyFlags = (file: string) => ['--proxy', `http://127.0.0.1:${port}`, '--proxy-credentials-file', file]

/** How often squid saw somebody ask for a tunnel with this outcome. */
async function asked(outcome: RegExp): Promise<number> {
  const log = await readFile(join(site.root, 'squid/access.log'), 'utf8').catch(() => '')
  return log.split('\n').filter((line) => line.includes('CONNECT') && outcome.test(line)).length
}

for (const [scheme, start, user] of [
  ['Basic', basic, USER],
  ['Digest', digest, USER],
  ['NTLM', ntlm, `CORP\\${USER}`],
] as const) {
  describe(`squid with ${scheme}`, () => {
    const name = scheme.toLowerCase()

    it('lets an agent join and carry streams, and the password shows nowhere', async () => {
      await start()
      const file = await site.credentials(name, CANARY, user)
      const { data, failure } = await site.join(name, ...proxyFlags(file))
      assert.equal(failure, undefined, JSON.stringify(failure))
      // What join was told stays: run needs no flags.
      const agent = await site.run(data)
      await site.untilConnected(data)
      await site.echoes(name)
      await site.assertNoCanary(agent, data)
      assert.ok((await asked(/TCP_TUNNEL\/200/)) + (await asked(/407/)) > 0)
      await agent.stop()
    })

    it('refuses a wrong password once, and says so', async () => {
      const file = await site.credentials(`${name}-wrong`, 'wrong', user)
      const { failure } = await site.join(`${name}-wrong`, ...proxyFlags(file))
      assert.equal(failure?.code, 'PROXY_AUTH')
      assert.equal(failure?.leg, 'proxy')
      assert.match(failure?.message ?? '', new RegExp(`does not take the user and the password.*${scheme}`))
    })
  })
}

describe('squid that changes its mind', () => {
  it('gets a password that it does not take any more once in minutes, and the agent says so', async () => {
    await basic()
    const file = await site.credentials('later', CANARY)
    const { data } = await site.join('later', ...proxyFlags(file))
    await writeFile(join(data, 'proxy-credentials'), `${USER}:not-the-word-any-more\n`)
    const before = await asked(/407/)
    const agent = await site.run(data)
    const isTold = async () => (await site.status(data)).lastError?.code === 'PROXY_AUTH'
    await eventually(isTold, 'the status names PROXY_AUTH', 20_000)
    const { lastError, connected } = await site.status(data)
    assert.equal(connected, false)
    assert.equal(lastError?.leg, 'proxy')
    // One question without a password and one with it; both sessions and the clock ask no more.
    assert.equal((await asked(/407/)) - before, 2)
    assert.doesNotMatch(agent.err(), /not-the-word/)
    await agent.stop()
  })

  it('may die and come back: the agent says which leg broke, and returns', async () => {
    await basic()
    const file = await site.credentials('dies', CANARY)
    const { data } = await site.join('dies', ...proxyFlags(file))
    await site.run(data)
    await site.untilConnected(data)
    assert.ok(squid)
    await endProgram(squid)
    const isTold = async () => (await site.status(data)).lastError?.code === 'PROXY_UNREACHABLE'
    await eventually(isTold, 'the status names PROXY_UNREACHABLE', 30_000)
    await basic()
    await eventually(async () => (await site.status(data)).connected, 'the agent is back', 60_000)
    await site.echoes('dies')
  })

  it('is told apart from one that does not open the way', async () => {
    const directory = await site.openDirectory('squid')
    await endProgram(squid as ChildProcess)
    const config = join(directory, 'deny.conf')
    await writeFile(
      config,
      `http_access deny all\nhttp_port 127.0.0.1:${port}\npid_filename none\ncache_log ${directory}/cache.log\naccess_log none\n`,
    )
    squid = await site.program(port, program, '-N', '-f', config)
    const { failure } = await site.join('denied', '--proxy', `http://127.0.0.1:${port}`)
    assert.equal(failure?.code, 'PROXY_REFUSED')
    assert.match(failure?.message ?? '', /403 Forbidden \(ERR_ACCESS_DENIED/)
  })
})
