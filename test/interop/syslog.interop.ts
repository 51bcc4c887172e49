import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, test } from 'node:test'
import { RECEIVER_CA, RECEIVER_KEY, testDeliveries } from '../relay/audit/delivery/delivery-fixture.ts'
import { temporaryDirectory } from '../relay/store/store-fixture.ts'
import { eventually } from '../support/deadline.ts'
import { freePort } from './corporate-kit.ts'

/**
 * Audit records to rsyslog over TLS, which is killed and started again in between.
 * Alone: node --import ./build/require-node.js test/run.ts test/interop/syslog.interop.ts (needs rsyslog and rsyslog-openssl)
 */

const running: ChildProcess[] = []
after(() => {
  for (const child of running) child.kill('SIGKILL')
})

async function startRsyslog(directory: string): Promise<ChildProcess> {
  const words = ['-n', '-f', join(directory, 'rsyslog.conf'), '-i', join(directory, 'rsyslog.pid')]
  const child = spawn('rsyslogd', words, { stdio: 'ignore' })
  running.push(child)
  await once(child, 'spawn')
  return child
}

test('rsyslog has every record once it is delivered, though it was killed in between', async (t) => {
  const directory = await temporaryDirectory(t)
  const port = await freePort()
  const out = join(directory, 'out.log')
  await writeFile(join(directory, 'cert.pem'), RECEIVER_CA)
  await writeFile(join(directory, 'key.pem'), RECEIVER_KEY, { mode: 0o600 })
  await writeFile(
    join(directory, 'rsyslog.conf'),
    `global(workDirectory="${directory}" DefaultNetstreamDriver="ossl"
       DefaultNetstreamDriverCAFile="${directory}/cert.pem"
       DefaultNetstreamDriverCertFile="${directory}/cert.pem"
       DefaultNetstreamDriverKeyFile="${directory}/key.pem")
module(load="imtcp" StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="anon")
input(type="imtcp" port="${port}" address="127.0.0.1" ruleset="all")
template(name="line" type="string" string="%app-name% %msgid% %structured-data%\\n")
ruleset(name="all") { action(type="omfile" file="${out}" template="line") }
`,
  )
  const kit = await testDeliveries(t)
  await kit.write('a"b]c\\d', 'ünïcode')
  await kit.add({ kind: 'syslog', target: `127.0.0.1:${port}` })
  kit.deliveries.begin('default', 'siem')
  const position = async () => (await kit.store.findDelivery('default', 'siem'))?.position
  const first = await startRsyslog(directory)
  await eventually(async () => (await position()) === 4, 'the first records')
  first.kill('SIGTERM')
  await once(first, 'exit')
  await kit.write(...Array.from({ length: 500 }, (_, i) => `hq/${i}`))
  await eventually(() => kit.deliveries.health('default', 'siem').error !== undefined, 'a failure')
  await startRsyslog(directory)
  await eventually(async () => (await position()) === 504, 'all records')
  const lines = async () => (await readFile(out, 'utf8')).trim().split('\n')
  await eventually(async () => (await lines()).length >= 504, 'the lines of rsyslog')
  const seqs = (await lines()).map((line) => Number(/ seq="(\d+)"/.exec(line)?.[1]))
  assert.deepEqual(
    [...new Set(seqs)].sort((a, b) => a - b),
    Array.from({ length: 504 }, (_, i) => i + 1),
  )
  const [odd, wide] = await lines()
  assert.match(odd ?? '', /^sallyport stream\.close \[sallyport@32473 .*object="a\\"b\\\]c\\\\d"/)
  assert.match(wide ?? '', /object="ünïcode"/)
})
