import assert from 'node:assert/strict'
import { chmod, mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { askTarget, freePort, openDirectory, startServer } from './health-kit.ts'

/** Exim, asked as an agent asks. Runs alone: node test/run.ts test/interop/health-exim.interop.ts */

async function exim(port: number, ...lines: string[]) {
  const directory = await openDirectory()
  const config = join(directory, 'exim.conf')
  const text = [
    `spool_directory = ${join(directory, 'spool')}`,
    `log_file_path = ${join(directory, 'log')}/%slog`,
    `pid_file_path = ${join(directory, 'pid')}`,
    `local_interfaces = 127.0.0.1.${port}`,
    'log_selector = +all',
    ...lines,
    'begin acl',
    'begin routers',
    'begin transports',
  ]
  await writeFile(config, `${text.join('\n')}\n`, { mode: 0o644 })
  for (const name of ['log', 'spool']) {
    await mkdir(join(directory, name))
    // Exim writes as a user of its own.
    await chmod(join(directory, name), 0o777)
  }
  return startServer('exim4', ['-C', config, '-bdf', '-v'], { directory, port })
}

test('Exim is well, and the conversation has a right end', async () => {
  const port = await freePort()
  await using server = await exim(port)
  const { state, note, detail } = await askTarget(port, 'smtp')
  assert.deepEqual([state, note], ['ok', 'SMTP'], detail)
  assert.match(detail, /Exim/)
  const log = () => readFile(join(server.directory, 'log/mainlog'), 'utf8')
  await eventually(async () => (await log()).includes('closed by QUIT'), 'the end is in the log')
  assert.doesNotMatch(await log(), /synchronization error|unexpected disconnection/)
})

test('Exim that will not have this host fails', async () => {
  const port = await freePort()
  await using _server = await exim(port, 'host_reject_connection = 127.0.0.1')
  const { state, code, note } = await askTarget(port, 'smtp')
  assert.deepEqual([state, code, note], ['failing', 'TARGET_UNHEALTHY', 'SMTP refuses with 554'])
})
