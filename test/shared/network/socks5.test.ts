import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { type ProxyRoute, parseProxyCredentials } from '../../../shared/network/route.ts'
import { Socks5 } from '../../../shared/network/socks5.ts'

const proxy: ProxyRoute = { kind: 'socks5', host: 'proxy.corp', port: 1080 }
const credentials = parseProxyCredentials('eve:pass')
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex')

function start(host = 'relay.example', given: typeof credentials | undefined = undefined) {
  const talk = new Socks5({
    target: { host, port: 443 },
    proxy,
    ...(given === undefined ? {} : { credentials: given }),
  })
  return talk
}

describe('SOCKS5', () => {
  it('opens a way to a name, which it leaves to the proxy to resolve', () => {
    const talk = start()
    assert.deepEqual(talk.begin(), hex('05 01 00'))
    assert.deepEqual(talk.push(hex('05 00')), {
      kind: 'send',
      bytes: Buffer.concat([hex('05 01 00 03 0d'), Buffer.from('relay.example'), hex('01bb')]),
    })
    assert.deepEqual(talk.push(hex('05 00 00 01 00000000 0000 ff')), { kind: 'open', rest: hex('ff') })
  })

  it('reads a reply of each kind wherever it is cut', () => {
    for (const reply of [
      '05 00 00 01 7f000001 1234',
      '05 00 00 03 03 616263 1234',
      `05 00 00 04 ${'00'.repeat(16)} 1234`,
    ]) {
      const bytes = hex(reply)
      for (let cut = 1; cut < bytes.length; cut++) {
        const talk = start('::1')
        talk.begin()
        talk.push(hex('05 00'))
        assert.equal(talk.push(bytes.subarray(0, cut)).kind, 'wait')
        assert.deepEqual(talk.push(bytes.subarray(cut)), { kind: 'open', rest: Buffer.alloc(0) })
      }
    }
  })

  it('gives addresses as numbers', () => {
    const asked = (host: string) => {
      const talk = start(host)
      talk.begin()
      const move = talk.push(hex('05 00'))
      return move.kind === 'send' ? move.bytes : undefined
    }
    assert.deepEqual(asked('192.0.2.1'), hex('05 01 00 01 c0000201 01bb'))
    assert.deepEqual(asked('2001:db8::1'), hex('05 01 00 04 20010db8000000000000000000000001 01bb'))
  })

  it('sends user and password where the proxy wants them', () => {
    const talk = start('relay.example', credentials)
    assert.deepEqual(talk.begin(), hex('05 02 00 02'))
    assert.deepEqual(talk.push(hex('05 02')), { kind: 'send', bytes: hex('01 03 657665 04 70617373') })
    assert.equal(talk.push(hex('01 00')).kind, 'send')
  })

  it('blames the proxy where the password is wrong, missing, or the way is not opened', () => {
    const wrong = start('relay.example', credentials)
    wrong.begin()
    wrong.push(hex('05 02'))
    assert.throws(() => wrong.push(hex('01 01')), { code: 'PROXY_AUTH', leg: 'proxy' })
    const missing = start()
    missing.begin()
    assert.throws(() => missing.push(hex('05 ff')), { code: 'PROXY_AUTH' })
    const denied = start()
    denied.begin()
    denied.push(hex('05 00'))
    assert.throws(() => denied.push(hex('05 02')), { code: 'PROXY_REFUSED', message: /rules do not allow/ })
  })

  it('gives up on what is no SOCKS5', () => {
    for (const answers of ['4854', '05 00|05 00 00 07', '05 00|04 00', '05 02|05 00']) {
      const talk = start('relay.example', credentials)
      talk.begin()
      assert.throws(
        () => {
          for (const answer of answers.split('|')) talk.push(hex(answer))
        },
        { code: 'PROXY_UNREACHABLE' },
        answers,
      )
    }
  })
})
