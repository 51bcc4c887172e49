import assert from 'node:assert/strict'
import { X509Certificate } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fingerprint } from '../../shared/identity/keys.ts'
import { type CorporateSite, freePort, startCorporateSite } from './corporate-kit.ts'

/**
 * Out through mitmproxy, which ends TLS as the inspectors of companies do.
 * Alone: node --import ./build/require-node.js test/run.ts test/interop/inspector.interop.ts (needs mitmdump)
 */

describe('mitmproxy', () => {
  let site: CorporateSite
  let proxy: string[]
  let caFile: string
  let accepted: string

  before(async () => {
    site = await startCorporateSite()
    const port = await freePort()
    const directory = await site.openDirectory('mitmproxy')
    const relayCa = join(directory, 'relay-ca.pem')
    // Else the inspector would not believe the relay: its operator gives it the relay's CA, or exempts the relay.
    await writeFile(relayCa, site.kit.relay.authority.authority.certificate.toString())
    const settings = [`confdir=${directory}`, `ssl_verify_upstream_trusted_ca=${relayCa}`].flatMap((one) => [
      '--set',
      one,
    ])
    await site.program(port, 'mitmdump', '-q', '--listen-host', '127.0.0.1', '-p', String(port), ...settings)
    proxy = ['--proxy', `http://127.0.0.1:${port}`]
    caFile = join(directory, 'mitmproxy-ca-cert.pem')
    accepted = fingerprint(new X509Certificate(await readFile(caFile)))
  })

  after(() => site[Symbol.asyncDispose]())

  it('is named by who signed, and how to accept it, and nothing goes on', async () => {
    const { failure } = await site.join('seen', ...proxy, '--ca-file', caFile)
    assert.equal(failure?.code, 'RELAY_IDENTITY')
    assert.match(failure?.message ?? '', /signed by: .*mitmproxy/)
    assert.ok(failure?.message.includes(accepted), failure?.message)
    assert.ok(failure?.next.includes(`--accept-inspector ${accepted}`), failure?.next)
  })

  it('may stay in between where the site accepts its CA, and the status says that it does', async () => {
    const flags = [...proxy, '--ca-file', caFile, '--accept-inspector', accepted]
    const { data, failure } = await site.join('inspected', ...flags)
    assert.equal(failure, undefined, JSON.stringify(failure))
    await site.run(data)
    await site.untilConnected(data)
    await site.echoes('inspected')
    const { sessions } = await site.status(data)
    assert.match(sessions[0]?.inspector ?? '', /mitmproxy/)
  })

  it('has to be named by a file where it does not show its CA', async () => {
    const { failure } = await site.join('unshown', ...proxy, '--accept-inspector', accepted)
    assert.equal(failure?.code, 'RELAY_IDENTITY')
    assert.match(failure?.next ?? '', /name its CA by --ca-file FILE/)
  })
})
