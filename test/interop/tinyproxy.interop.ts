import assert from 'node:assert/strict'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { CANARY, type CorporateSite, freePort, startCorporateSite } from './corporate-kit.ts'

/**
 * Out through tinyproxy, which closes the connection at every refusal, and by a PAC file that names it.
 * Alone: node --import ./build/require-node.js test/run.ts test/interop/tinyproxy.interop.ts
 */

describe('tinyproxy', () => {
  let site: CorporateSite
  let port: number

  before(async () => {
    site = await startCorporateSite()
    port = await freePort()
    const directory = await site.openDirectory('tinyproxy')
    const config = join(directory, 'tinyproxy.conf')
    const lines = [
      `Port ${port}`,
      'Listen 127.0.0.1',
      'Timeout 600',
      `LogFile "${directory}/log"`,
      'Allow 127.0.0.1',
      `BasicAuth eve ${CANARY}`,
    ]
    await writeFile(config, `${lines.join('\n')}\n`)
    await site.program(port, 'tinyproxy', '-d', '-c', config)
  })

  after(() => site[Symbol.asyncDispose]())

  it('lets an agent out with Basic', async () => {
    const file = await site.credentials('tiny', CANARY)
    const flags = ['--proxy', `http://127.0.0.1:${port}`, '--proxy-credentials-file', file]
    const { data, failure } = await site.join('tiny', ...flags)
    assert.equal(failure, undefined, JSON.stringify(failure))
    const agent = await site.run(data)
    await site.untilConnected(data)
    await site.echoes('tiny')
    await site.assertNoCanary(agent, data)
  })

  it('is found by a PAC file, behind a proxy that is gone', async () => {
    const file = await site.credentials('pac', CANARY)
    const pac = join(site.root, 'proxy.pac')
    const gone = await freePort()
    await writeFile(
      pac,
      `function FindProxyForURL(url, host) {
         if (isInNet(host, "127.0.0.0", "255.0.0.0")) return "PROXY 127.0.0.1:${gone}; PROXY 127.0.0.1:${port}";
         return "DIRECT";
       }`,
    )
    const { data, failure } = await site.join('pac', '--pac', pac, '--proxy-credentials-file', file)
    assert.equal(failure, undefined, JSON.stringify(failure))
    await site.run(data)
    await site.untilConnected(data)
    await site.echoes('pac')
  })

  it('refuses a wrong password in its own way, and that is understood', async () => {
    const file = await site.credentials('wrong', 'wrong')
    const flags = ['--proxy', `http://127.0.0.1:${port}`, '--proxy-credentials-file', file]
    const { failure } = await site.join('wrong', ...flags)
    assert.equal(failure?.code, 'PROXY_AUTH')
  })

  it('is not lost a password to that was left out', async () => {
    const { failure } = await site.join('none', '--proxy', `http://127.0.0.1:${port}`)
    assert.equal(failure?.code, 'PROXY_AUTH')
    assert.match(failure?.message ?? '', /It offers Basic/)
    assert.match(failure?.next ?? '', /--proxy-credentials-file/)
  })
})
