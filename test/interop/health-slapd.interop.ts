import assert from 'node:assert/strict'
import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { askTarget, freePort, openDirectory, startServer } from './health-kit.ts'

/** OpenLDAP's slapd, asked as an agent asks. Runs alone: node test/run.ts test/interop/health-slapd.interop.ts */

async function slapd(port: number, ...lines: string[]) {
  const directory = await openDirectory()
  await mkdir(join(directory, 'data'))
  const config = join(directory, 'slapd.conf')
  const text = [
    'include /etc/ldap/schema/core.schema',
    `pidfile ${join(directory, 'pid')}`,
    'modulepath /usr/lib/ldap',
    'moduleload back_mdb',
    ...lines,
    'database mdb',
    'suffix "dc=corp,dc=example"',
    `directory ${join(directory, 'data')}`,
  ]
  await writeFile(config, `${text.join('\n')}\n`)
  return startServer('slapd', ['-d', 'stats', '-f', config, '-h', `ldap://127.0.0.1:${port}`], {
    directory,
    port,
  })
}

test('OpenLDAP is well, and the conversation has a right end', async () => {
  const port = await freePort()
  await using server = await slapd(port)
  const { state, note } = await askTarget(port, 'ldap')
  assert.deepEqual([state, note], ['ok', 'LDAP'])
  await eventually(
    () => /SRCH base="" scope=0 deref=0 filter="\(objectClass=\*\)"/.test(server.output()),
    'the search',
  )
  await eventually(() => server.output().includes('UNBIND'), 'the end')
  assert.doesNotMatch(server.output(), /BIND dn/)
})

test('OpenLDAP that wants a bind for everything is well', async () => {
  const port = await freePort()
  await using _server = await slapd(port, 'require authc')
  const { state, note } = await askTarget(port, 'ldap')
  assert.deepEqual([state, note], ['ok', 'LDAP'])
})
