import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { CANARY, type CorporateSite, freePort, startCorporateSite } from './corporate-kit.ts'

/**
 * Out through a SOCKS5 server, with and without a password.
 * Alone: node --import ./build/require-node.js test/run.ts test/interop/socks.interop.ts (needs microsocks)
 */

describe('microsocks', () => {
  let site: CorporateSite
  let open: number
  let locked: number

  before(async () => {
    site = await startCorporateSite()
    open = await freePort()
    await site.program(open, 'microsocks', '-i', '127.0.0.1', '-p', String(open))
    locked = await freePort()
    await site.program(
      locked,
      'microsocks',
      '-i',
      '127.0.0.1',
      '-p',
      String(locked),
      '-u',
      'eve',
      '-P',
      CANARY,
    )
  })

  after(() => site[Symbol.asyncDispose]())

  it('lets an agent out without a password', async () => {
    const { data, failure } = await site.join('open', '--proxy', `socks5://127.0.0.1:${open}`)
    assert.equal(failure, undefined, JSON.stringify(failure))
    await site.run(data)
    await site.untilConnected(data)
    await site.echoes('open')
  })

  it('lets an agent out with the right password, and no other', async () => {
    const proxy = ['--proxy', `socks5h://127.0.0.1:${locked}`]
    const right = await site.join(
      'locked',
      ...proxy,
      '--proxy-credentials-file',
      await site.credentials('right', CANARY),
    )
    assert.equal(right.failure, undefined, JSON.stringify(right.failure))
    const agent = await site.run(right.data)
    await site.untilConnected(right.data)
    await site.echoes('locked')
    await site.assertNoCanary(agent, right.data)
    const wrong = await site.join(
      'wrong',
      ...proxy,
      '--proxy-credentials-file',
      await site.credentials('wrong', 'x'),
    )
    assert.equal(wrong.failure?.code, 'PROXY_AUTH')
    const none = await site.join('none', ...proxy)
    assert.equal(none.failure?.code, 'PROXY_AUTH')
  })
})
