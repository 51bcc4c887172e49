import assert from 'node:assert/strict'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { readRelay } from '../../../agent/doctor/doctor-command.ts'
import { sallyport } from '../../support/command-line.ts'
import { startKit } from '../../support/relay-kit.ts'
import { listenTarget } from '../../support/tcp-kit.ts'

describe('sallyport agent doctor', () => {
  it('takes a relay as a URL or as HOST:PORT', () => {
    assert.deepEqual(readRelay('wss://Relay.Example'), { host: 'relay.example', port: 443 })
    assert.deepEqual(readRelay('wss://relay.example:8443/'), { host: 'relay.example', port: 8443 })
    assert.deepEqual(readRelay('[2001:db8::1]:8443'), { host: '2001:db8::1', port: 8443 })
    assert.deepEqual(readRelay('[2001:db8::1]'), { host: '2001:db8::1', port: 443 })
    for (const text of ['wss://a/b', 'https://a', 'a:0', ''])
      assert.throws(() => readRelay(text), { code: 'USAGE' })
  })

  it('ends with 0 and a report that holds nothing of the join string, which works afterwards', async () => {
    await using kit = await startKit()
    const directory = await mkdtemp(join(tmpdir(), 'sallyport-doctor-'))
    try {
      const secret = await kit.joinString()
      const file = join(directory, 'join')
      await writeFile(file, secret, { mode: 0o600 })
      const data = join(directory, 'agent')
      const flags = ['--join-file', file, '--data', data]
      const { status, out, err } = await sallyport(['agent', 'doctor', ...flags, '--idle', '1', '--report'])
      assert.equal(status, 0, err)
      assert.match(out, /TCP to 127\.0\.0\.1, port \d+/)
      assert.match(out, /Nothing: all that was looked at works/)
      assert.equal(out.includes(secret.slice(20, 60)), false)
      assert.equal((await sallyport(['agent', 'join', '--no-service', ...flags])).status, 0)
    } finally {
      await rm(directory, { recursive: true, force: true })
    }
  })

  it('prints one JSON object a line and ends with the status of the first failure', async () => {
    const closed = await listenTarget()
    await closed.close()
    const { status, out } = await sallyport([
      'agent',
      'doctor',
      '--relay',
      `127.0.0.1:${closed.port}`,
      '--json',
    ])
    assert.equal(status, 4)
    const lines = out
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line))
    const tcp = lines.find(({ check }) => check === 'tcp')
    assert.deepEqual(
      [tcp.verdict, tcp.code, tcp.subject],
      ['FAIL', 'RELAY_UNREACHABLE', `127.0.0.1:${closed.port}`],
    )
    assert.equal(lines.at(-1).error.leg, 'relay-agent')
  })

  it('says what it needs where it does not know whom to examine', async () => {
    const { status, err } = await sallyport(['agent', 'doctor', '--data', join(tmpdir(), 'no-such-agent')])
    assert.equal(status, 2)
    assert.match(err, /--relay wss:\/\/HOST:PORT, or --join-file FILE, or --data DIR/)
  })
})
