import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { existsSync, readdirSync } from 'node:fs'
import { copyFile, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import http from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { before, describe, it, type TestContext } from 'node:test'
import { promisify } from 'node:util'
import { PRODUCT_VERSION } from '../../shared/version.ts'
import { sallyport, startSallyport } from '../support/command-line.ts'

/**
 * What `npm run package` has put into out/, judged by other people's programs and by running it. What this machine has no
 * program for is skipped, and says so.
 *
 *   npm run package && node test/run.ts test/release/packages.release.ts
 */

const OUT = process.env.SALLYPORT_OUT ?? join(import.meta.dirname, '../../out')
const EXECUTABLES = join(OUT, 'executables')
const RELEASE = join(OUT, 'release')
const KEYS =
  process.env.SALLYPORT_TEST_KEYS ??
  join(import.meta.dirname, '../../node_modules/.cache/sallyport/test-keys')
const run = promisify(execFile)

/** Where Debian's cross packages put the libraries of a foreign machine. */
const ARM64_LIBRARIES = '/usr/aarch64-linux-gnu'

const published = existsSync(RELEASE) ? readdirSync(RELEASE) : []
const ending = (text: string) => published.filter((name) => name.endsWith(text)).sort()

/** Skips the test where `program` is not there. */
async function needs(t: TestContext, program: string): Promise<boolean> {
  const isThere = await run('sh', ['-c', 'command -v "$1"', 'sh', program]).then(
    () => true,
    () => false,
  )
  if (!isThere) t.skip(`NOT RUN: there is no ${program}`)
  return isThere
}

/** Skips the test where nothing was built for it. */
function built(t: TestContext, path: string): boolean {
  const isThere = existsSync(path)
  if (!isThere) t.skip(`NOT RUN: ${path} was not built`)
  return isThere
}

/** A relay from its executable, an agent of another one, and one request through both. */
async function tunnelThrough(agent: readonly string[]): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'sallyport-packages-'))
  const relayProgram = [join(EXECUTABLES, 'sallyport-relay-linux-x64')]
  const relayData = join(directory, 'relay')
  const agentData = join(directory, 'agent')
  const target = http.createServer((_request, response) => response.end('through the packages'))
  await new Promise<void>((resolve) => target.listen(0, '127.0.0.1', resolve))
  const port = (target.address() as AddressInfo).port
  const relayFlags = ['--data', relayData, '--json']
  const up = ['relay', 'up', ...relayFlags, '--listen', '127.0.0.1:0', '--name', 'localhost']
  const required = ['--require-release', `test/${PRODUCT_VERSION}`]
  await using relay = startSallyport([...up, ...required], relayProgram)
  try {
    await relay.line()
    await relay.line()
    const command = async (program: readonly string[], args: readonly string[], input = '') => {
      const { status, out, err } = await sallyport(args, input, program)
      assert.equal(status, 0, `${args.join(' ')}: ${out}${err}`)
      return JSON.parse(out)
    }
    const { joinString } = await command(relayProgram, ['relay', 'join-token', 'hq', ...relayFlags])
    const agentFlags = ['--data', agentData, '--json']
    await command(agent, ['agent', 'join', '--join-file', '-', '--no-service', ...agentFlags], joinString)
    const rule = ['agent', 'allow', `web=127.0.0.1:${port}`, '--allow-loopback', '--protocol', 'http']
    await command(agent, [...rule, '--no-probe', ...agentFlags])
    await using running = startSallyport(['agent', 'run', ...agentFlags], agent)
    await running.line()
    const credentials = join(directory, 'app.json')
    const add = ['relay', 'connector', 'add', 'app', '--resource', 'hq/web', '--out', credentials]
    await command(relayProgram, [...add, ...relayFlags])
    const connect = ['connect', 'hq/web', '--credentials', credentials, '--json']
    await using connector = startSallyport(connect, relayProgram)
    const { listening } = (await connector.line()) as { listening: string }
    assert.equal(await request(listening), 'through the packages')
    const status = await command(agent, ['agent', 'status', ...agentFlags])
    assert.equal(status.release, `release ${PRODUCT_VERSION} of channel test, signed`)
    const { sessions } = await command(relayProgram, ['relay', 'status', ...relayFlags])
    const [seen] = (sessions as { kind: string; release: string }[]).filter(({ kind }) => kind === 'agent')
    assert.equal(seen?.release, `test/${PRODUCT_VERSION}`)
    assert.equal(await running.stop(), 0)
  } finally {
    target.close()
    await rm(directory, { recursive: true, force: true })
  }
}

/** The body of an answer; asks again while the agent is still on its way to the relay. */
async function request(address: string): Promise<string> {
  const until = Date.now() + 20_000
  for (;;) {
    const answer = await fetch(`http://${address}/`).catch(() => undefined)
    if (answer?.status === 200) return answer.text()
    if (Date.now() > until) throw new Error(`no answer through ${address}: ${answer?.status}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

describe('the executables', () => {
  it('carry a request from one to the other, and say which release they are', (t) => {
    const agent = join(EXECUTABLES, 'sallyport-agent-linux-x64')
    return built(t, agent) ? tunnelThrough([agent]) : undefined
  })

  it('do so on ARM as well', async (t) => {
    const agent = join(EXECUTABLES, 'sallyport-agent-linux-arm64')
    if (!built(t, agent) || !built(t, join(EXECUTABLES, 'sallyport-relay-linux-x64'))) return
    if (!(await needs(t, 'qemu-aarch64-static'))) return
    if (!existsSync(`${ARM64_LIBRARIES}/lib/libstdc++.so.6`)) {
      t.skip('NOT RUN: there is no libstdc++6-arm64-cross')
      return
    }
    await tunnelThrough(['qemu-aarch64-static', '-L', ARM64_LIBRARIES, agent])
  })

  it('hold no code of another role in the agent', async () => {
    const modules = await readFile(join(EXECUTABLES, 'sallyport-agent.modules.txt'), 'utf8')
    assert.match(modules, / agent\/agent\.ts$/m)
    assert.doesNotMatch(modules, /^ *\d+ {2}(relay|connector|demo|test)\//m)
    assert.doesNotMatch(modules, /node_modules\/(kysely|selfsigned|pg|node-forge)\//)
    const code = await readFile(join(EXECUTABLES, 'sallyport-agent-linux-x64'), 'latin1')
    assert.equal(code.includes('CREATE TABLE join_tokens'), false)
  })

  it('take nothing from NODE_OPTIONS', async () => {
    const agent = join(EXECUTABLES, 'sallyport-agent-linux-x64')
    const { stdout } = await run(agent, ['--version'], {
      env: { ...process.env, NODE_OPTIONS: '--require /nonexistent' },
    })
    assert.equal(stdout.trim(), PRODUCT_VERSION)
  })
})

describe('the signatures', () => {
  const verify = async (...args: string[]) =>
    sallyport(['verify', '--json', ...args], '', [join(EXECUTABLES, 'sallyport-relay-linux-x64')])

  it('cover every published file for sallyport verify, and a changed one is refused', async () => {
    const files = published.filter((name) => !/^(SHA256SUMS|release\.json|cms-)/.test(name))
    const { status, out } = await verify(...files.map((name) => join(RELEASE, name)))
    assert.equal(status, 0, out)
    assert.equal(out.trim().split('\n').length, files.length)
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-verify-'))
    const [deb = ''] = ending('.deb')
    const copy = join(directory, deb)
    await copyFile(join(RELEASE, deb), copy)
    await using file = await open(copy, 'r+')
    await file.write(Buffer.from([0xff]), 0, 1, 100_000)
    const changed = await verify(copy, '--manifest', join(RELEASE, 'release.json'))
    assert.equal(changed.status, 5)
    assert.equal(JSON.parse(changed.out).error.code, 'RELEASE_FILE')
    await rm(directory, { recursive: true })
  })

  it('are known to plain openssl, which refuses other check sums', async (t) => {
    if (!(await needs(t, 'openssl'))) return
    const args = ['cms', '-verify', '-binary', '-inform', 'PEM', '-in', join(RELEASE, 'SHA256SUMS.p7s')]
    const trusted = ['-CAfile', join(RELEASE, 'cms-certificate.pem'), '-out', '/dev/null']
    await run('openssl', [...args, ...trusted, '-content', join(RELEASE, 'SHA256SUMS')])
    await run('sha256sum', ['--check', '--quiet', 'SHA256SUMS'], { cwd: RELEASE })
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-sums-'))
    const other = join(directory, 'SHA256SUMS')
    await writeFile(other, (await readFile(join(RELEASE, 'SHA256SUMS'), 'utf8')).replace(/^./, 'g'))
    await assert.rejects(run('openssl', [...args, ...trusted, '-content', other]), /[Vv]erification failure/)
    await rm(directory, { recursive: true })
  })

  it('are known to osslsigncode on the files for Windows', async (t) => {
    const [msi] = ending('.msi')
    if (!built(t, join(EXECUTABLES, 'sallyport-agent-win-x64.exe')) || msi === undefined) return
    if (!(await needs(t, 'osslsigncode'))) return
    const trusted = ['-CAfile', join(KEYS, 'code.pem')]
    for (const path of [
      join(RELEASE, msi),
      join(EXECUTABLES, 'sallyport-agent-win-x64.exe'),
      join(EXECUTABLES, 'sallyport-service.exe'),
    ]) {
      const { stdout } = await run('osslsigncode', ['verify', ...trusted, '-in', path])
      assert.match(stdout, /Signature verification: ok/)
    }
  })
})

describe('the packages', () => {
  it('satisfy lintian, but for zstd, which Debian 12 reads and its archive does not take', async (t) => {
    if (!(await needs(t, 'lintian'))) return
    const packages = ending('_amd64.deb').map((name) => join(RELEASE, name))
    const found = await run('lintian', ['--allow-root', '--tag-display-limit', '0', ...packages]).catch(
      (error: { stdout: string }) => error,
    )
    const tags = found.stdout.split('\n').filter((line) => /^[EW]:/.test(line))
    assert.deepEqual(
      tags.filter((line) => !/malformed-deb-archive .* member (control|data)\.tar\.zst /.test(line)),
      [],
    )
  })

  it('hold for dpkg what the service needs, all of it root’s', async (t) => {
    if (!(await needs(t, 'dpkg-deb'))) return
    for (const name of ending('.deb')) {
      const { stdout } = await run('dpkg-deb', ['--contents', join(RELEASE, name)])
      const lines = stdout.trim().split('\n')
      assert.deepEqual(
        lines.filter((line) => !line.includes(' root/root ')),
        [],
      )
      const role = name.includes('agent') ? 'agent' : 'relay'
      assert.match(stdout, new RegExp(` \\./usr/lib/systemd/system/sallyport-${role}\\.service$`, 'm'))
      assert.match(stdout, / \.\/usr\/bin\/sallyport -> \.\.\/lib\/sallyport\/sallyport$/m)
    }
  })

  it('satisfy rpm', async (t) => {
    if (!(await needs(t, 'rpm'))) return
    for (const name of ending('.rpm')) {
      const path = join(RELEASE, name)
      const { stdout: checked } = await run('rpm', ['--checksig', '--verbose', '--nosignature', path])
      assert.match(checked, /Payload SHA256 digest: OK/)
      const { stdout: info } = await run('rpm', ['-qp', '--qf', '%{VERSION} %{BUILDHOST} %{LICENSE}', path])
      assert.equal(info, `${PRODUCT_VERSION} localhost Apache-2.0`)
      const { stdout: files } = await run('rpm', ['-qpl', path])
      assert.match(files, /^\/usr\/bin\/sallyport$/m)
    }
  })

  it('are an installer for Windows without properties that take a secret', async (t) => {
    const [msi] = ending('.msi')
    if (msi === undefined) {
      t.skip('NOT RUN: no .msi was built')
      return
    }
    if (!(await needs(t, 'msiinfo'))) return
    const table = async (name: string) => (await run('msiinfo', ['export', join(RELEASE, msi), name])).stdout
    const files = await table('File')
    for (const name of ['sallyport.exe', 'sallyport-service.exe', 'release.json']) {
      assert.ok(files.includes(name), name)
    }
    assert.match(await table('Environment'), /=-\*PATH\t\[~\];\[INSTALLDIR\]/)
    assert.doesNotMatch(await table('Property'), /token|join|secret/i)
  })

  it('S42: come with a bill of materials that is the lockfile’s word for each package', async () => {
    const lock = JSON.parse(await readFile(join(import.meta.dirname, '../../package-lock.json'), 'utf8'))
    const entries = Object.entries(lock.packages as Record<string, { version?: string; integrity?: string }>)
    for (const name of ending('.cdx.json')) {
      const bom = JSON.parse(await readFile(join(RELEASE, name), 'utf8'))
      assert.equal(bom.specVersion, '1.6')
      for (const { name: library, version, hashes, type } of bom.components) {
        if (type !== 'library') continue
        const hash = `sha512-${Buffer.from(hashes[0].content, 'hex').toString('base64')}`
        assert.ok(
          entries.some(
            ([path, entry]) =>
              path.endsWith(`node_modules/${library}`) &&
              entry.version === version &&
              entry.integrity === hash,
          ),
          `${library} ${version}`,
        )
      }
    }
  })
})

before(() => assert.ok(published.length > 0, 'first: npm run package'))
