import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { startKit } from '../support/relay-kit.ts'

/**
 * S15: other people's scanners at the one port of a relay, under its own name and under a published host. Ends with status 0
 * where both find TLS 1.3 with AEAD and nothing else. A minute; needs sslscan and testssl (Debian: sslscan, testssl.sh).
 *
 *   node test/security/tls-scan.ts
 */

const run = promisify(execFile)
const faults: string[] = []

function check(what: string, isRight: boolean): void {
  process.stdout.write(`${isRight ? 'ok   ' : 'FAULT'}  ${what}\n`)
  if (!isRight) faults.push(what)
}

async function sslscan(target: string, sni: readonly string[]): Promise<void> {
  const { stdout } = await run('sslscan', ['--no-colour', ...sni, target], { timeout: 60_000 })
  for (const version of ['SSLv2', 'SSLv3', 'TLSv1.0', 'TLSv1.1', 'TLSv1.2']) {
    check(`sslscan: ${version} is off`, new RegExp(`^${version}\\s+disabled`, 'm').test(stdout))
  }
  check('sslscan: TLSv1.3 is on', /^TLSv1\.3\s+enabled/m.test(stdout))
  const suites = [...stdout.matchAll(/^(?:Preferred|Accepted)\s+(\S+)\s+\d+ bits\s+(\S+)/gm)]
  const isAead = suites.every(
    ([, version, suite = '']) => version === 'TLSv1.3' && /GCM|POLY1305/.test(suite),
  )
  check(`sslscan: ${suites.map(([, , suite]) => suite).join(' ')}`, suites.length === 3 && isAead)
  check(
    'sslscan: no compression, no Heartbleed',
    !/Compression enabled|(?<!not )vulnerable to heartbleed$/m.test(stdout),
  )
}

interface Finding {
  readonly id: string
  readonly severity: string
  readonly finding: string
}

async function testssl(target: string, directory: string): Promise<void> {
  const file = join(directory, `testssl-${target.replaceAll(/\W/g, '-')}.json`)
  const flags = ['--quiet', '--color', '0', '--warnings', 'off', '--jsonfile', file, '-p', '-f', '-U']
  // It ends with the number of its findings.
  await run('testssl', [...flags, target], { timeout: 300_000, maxBuffer: 1 << 24 }).catch(() => undefined)
  const { default: findings } = (await import(file, { with: { type: 'json' } })) as {
    default: readonly Finding[]
  }
  const bad = findings.filter(({ severity }) => /^(?:LOW|MEDIUM|HIGH|CRITICAL)$/.test(severity))
  check(`testssl: ${findings.length} findings, none against it`, findings.length > 10 && bad.length === 0)
  for (const { id, severity, finding } of bad) process.stdout.write(`       ${severity} ${id}: ${finding}\n`)
}

await using kit = await startKit({ limits: { pendingPerAddress: 1_000 } })
await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: 'web.example.org' })
const target = `127.0.0.1:${kit.port}`
await sslscan(target, [])
await sslscan(target, ['--sni-name=web.example.org'])
await testssl(target, kit.directory)
process.stdout.write(`${faults.length} faults\n`)
process.exitCode = faults.length === 0 ? 0 : 1
