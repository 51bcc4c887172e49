import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { HttpConnect } from '../../../shared/network/http-connect.ts'
import {
  type ProxyCredentials,
  type ProxyRoute,
  parseProxyCredentials,
} from '../../../shared/network/route.ts'
import type { Step } from '../../../shared/network/step.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const proxy: ProxyRoute = { kind: 'http', host: 'proxy.corp', port: 3128 }
const target = { host: 'relay.example.com', port: 443 }
const credentials = parseProxyCredentials('CORP\\eve:canary-pass')

function start(given?: ProxyCredentials) {
  const steps: Step[] = []
  const connect = new HttpConnect({
    target,
    proxy,
    effects: new FakeEffects(),
    onStep: (step) => steps.push(step),
    ...(given === undefined ? {} : { credentials: given }),
  })
  return { connect, steps }
}

const OPENED = 'HTTP/1.1 200 Connection established\r\n\r\n'

function refusal(challenge: string, more = ''): string {
  return `HTTP/1.1 407 Proxy Authentication Required\r\nServer: squid/5.7\r\nProxy-Authenticate: ${challenge}\r\n${more}Content-Length: 3\r\n\r\nabc`
}

/** What Proxy-Authorization a request bears. */
function authorization(request: Buffer): string | undefined {
  return /^Proxy-Authorization: (.*)\r$/m.exec(request.toString('latin1'))?.[1]
}

describe('CONNECT', () => {
  it('asks for the target without credentials first, and gives back what came behind the head', () => {
    const { connect, steps } = start(credentials)
    const request = connect.begin().toString()
    assert.match(request, /^CONNECT relay\.example\.com:443 HTTP\/1\.1\r\nHost: relay\.example\.com:443\r\n/)
    assert.equal(authorization(Buffer.from(request)), undefined)
    assert.deepEqual(connect.push(Buffer.from(`HTTP/1.1 100 Continue\r\n\r\n${OPENED}tail`)), {
      kind: 'open',
      rest: Buffer.from('tail'),
    })
    assert.deepEqual(steps, [{ kind: 'proxy-answer', status: 200, schemes: [] }])
  })

  it('reads an answer the same wherever it is cut', () => {
    const text = Buffer.from(refusal('Basic realm="x"'))
    for (let cut = 1; cut < text.length; cut++) {
      const { connect } = start(credentials)
      connect.begin()
      assert.deepEqual(connect.push(text.subarray(0, cut)), { kind: 'wait' })
      const move = connect.push(text.subarray(cut))
      assert.equal(move.kind, 'send')
    }
  })

  it('answers Basic on the same connection, or on a new one where the proxy closes', () => {
    const basic = `Basic ${Buffer.from('CORP\\eve:canary-pass').toString('base64')}`
    const same = start(credentials)
    same.connect.begin()
    const move = same.connect.push(Buffer.from(refusal('Basic realm="x"')))
    assert.ok(move.kind === 'send')
    assert.equal(authorization(move.bytes), basic)
    assert.equal(same.connect.push(Buffer.from(OPENED)).kind, 'open')
    assert.deepEqual(
      same.steps.map(
        (step) => step.kind === 'proxy-answer' && [step.status, step.schemes, step.used, step.server],
      ),
      [
        [407, ['Basic'], undefined, 'squid/5.7'],
        [200, [], 'Basic', undefined],
      ],
    )
    for (const closing of ['Connection: close\r\n', 'Proxy-Connection: Close\r\n']) {
      const { connect } = start(credentials)
      connect.begin()
      assert.equal(connect.push(Buffer.from(refusal('Basic realm="x"', closing))).kind, 'reconnect')
      assert.equal(authorization(connect.begin()), basic)
    }
  })

  it('skips a chunked refusal with trailers', () => {
    const { connect } = start(credentials)
    connect.begin()
    const head = refusal('Basic realm="x"').replace(
      'Content-Length: 3\r\n\r\nabc',
      'Transfer-Encoding: chunked\r\n\r\n',
    )
    assert.equal(connect.push(Buffer.from(`${head}3;x=y\r\nabc\r\n0\r\nA: b\r\n`)).kind, 'wait')
    assert.equal(connect.push(Buffer.from('\r\n')).kind, 'send')
  })

  it('takes the strongest scheme that is offered', () => {
    const used = (challenge: string) => {
      const { connect } = start(credentials)
      connect.begin()
      const move = connect.push(Buffer.from(refusal(challenge)))
      return move.kind === 'send' ? authorization(move.bytes)?.slice(0, 6) : move.kind
    }
    assert.equal(used('Basic realm="x", Digest realm="x", nonce="n", qop="auth", NTLM'), 'NTLM T')
    assert.equal(used('Basic realm="x", Digest realm="x", nonce="n", qop="auth"'), 'Digest')
    assert.equal(used('Basic realm="x", Digest realm="x", nonce="n"'), 'Basic ')
    const { connect } = start(credentials)
    connect.begin()
    const both =
      'Digest realm="x", nonce="md", qop="auth", algorithm=MD5, Digest realm="x", nonce="sha", qop="auth", algorithm=SHA-256'
    const move = connect.push(Buffer.from(refusal(both)))
    assert.ok(move.kind === 'send')
    assert.match(authorization(move.bytes) ?? '', /algorithm=SHA-256, nonce="sha"/)
  })

  it('answers a stale nonce once more, and no other refusal', () => {
    const { connect } = start(credentials)
    connect.begin()
    const challenge = (nonce: string, stale: boolean) =>
      Buffer.from(refusal(`Digest realm="x", nonce="${nonce}", qop="auth", stale=${stale}`))
    assert.equal(connect.push(challenge('a', false)).kind, 'send')
    const again = connect.push(challenge('b', true))
    assert.ok(again.kind === 'send')
    assert.match(authorization(again.bytes) ?? '', /nonce="b"/)
    assert.throws(() => connect.push(challenge('c', false)), { code: 'PROXY_AUTH' })
  })

  it('stops believing a proxy that calls every answer stale', () => {
    const { connect } = start(credentials)
    connect.begin()
    const stale = Buffer.from(refusal('Digest realm="x", nonce="n", qop="auth", stale=true'))
    assert.throws(
      () => {
        for (let i = 0; i < 5; i++) connect.push(stale)
      },
      { code: 'PROXY_AUTH' },
    )
  })

  it('sends a password that was refused by one scheme by no other scheme', () => {
    const { connect } = start(credentials)
    connect.begin()
    const both = Buffer.from(refusal('Digest realm="x", nonce="n", qop="auth", Basic realm="x"'))
    assert.equal(connect.push(both).kind, 'send')
    assert.throws(
      () => connect.push(both),
      (error: Error) => {
        assert.match(error.message, /http:\/\/proxy\.corp:3128.*does not take.*Digest MD5/)
        assert.doesNotMatch(JSON.stringify(error) + error.stack, /canary|eve/)
        return true
      },
    )
  })

  it('names what is offered where it has no credentials, or speaks none of it', () => {
    const without = start()
    without.connect.begin()
    assert.throws(() => without.connect.push(Buffer.from(refusal('NTLM, Basic realm="x"'))), {
      code: 'PROXY_AUTH',
      leg: 'proxy',
      message: /It offers NTLM, Basic\./,
    })
    const foreign = start(credentials)
    foreign.connect.begin()
    assert.throws(() => foreign.connect.push(Buffer.from(refusal('Negotiate'))), {
      code: 'PROXY_AUTH',
      message: /It offers Negotiate; NTLM, Digest and Basic are supported/,
    })
  })

  it('carries NTLM over three rounds of one connection', () => {
    const { connect } = start(credentials)
    connect.begin()
    const first = connect.push(Buffer.from(refusal('NTLM')))
    assert.ok(first.kind === 'send')
    assert.match(authorization(first.bytes) ?? '', /^NTLM TlRMTVNTUAABAAAA/)
    const challenge = Buffer.alloc(56)
    challenge.write('NTLMSSP\0', 'latin1')
    challenge.writeUInt32LE(2, 8)
    challenge.writeUInt32LE(56, 44)
    const token = challenge.toString('base64')
    const second = connect.push(Buffer.from(refusal(`NTLM ${token}`)))
    assert.ok(second.kind === 'send')
    assert.match(authorization(second.bytes) ?? '', /^NTLM TlRMTVNTUAADAAAA/)
    assert.equal(connect.push(Buffer.from(OPENED)).kind, 'open')

    const closing = start(credentials)
    closing.connect.begin()
    closing.connect.push(Buffer.from(refusal('NTLM')))
    assert.throws(
      () => closing.connect.push(Buffer.from(refusal(`NTLM ${token}`, 'Connection: close\r\n'))),
      {
        code: 'PROXY_UNREACHABLE',
      },
    )
  })

  it('says what else the proxy answered', () => {
    const { connect } = start(credentials)
    connect.begin()
    const answer =
      'HTTP/1.1 503 Service\u0007 Unavailable\r\nX-Squid-Error: ERR_DNS_FAIL 0\r\nContent-Length: 0\r\n\r\n'
    assert.throws(() => connect.push(Buffer.from(answer)), {
      code: 'PROXY_REFUSED',
      message: /answered CONNECT relay\.example\.com:443 with 503 Service\? Unavailable \(ERR_DNS_FAIL 0\)/,
    })
  })

  it('gives up on what is no HTTP, too long or never ends', () => {
    const wrong = (...chunks: (string | Buffer)[]) => {
      const { connect } = start(credentials)
      connect.begin()
      assert.throws(
        () => {
          for (const chunk of chunks) connect.push(Buffer.from(chunk))
        },
        { code: 'PROXY_UNREACHABLE' },
      )
    }
    wrong('SSH-2.0-OpenSSH')
    wrong('HTTP/1.1 abc\r\n\r\n')
    wrong('HTTP/1.1 200 OK\r\n', Buffer.alloc(40_000, 'a'))
    wrong('HTTP/1.1 100 Continue\r\n\r\n'.repeat(20))
    wrong(refusal('Basic realm="x"').replace('3\r\n\r\nabc', '999999\r\n\r\n'), Buffer.alloc(300_000))
    const chunked = refusal('Basic realm="x"').replace(
      'Content-Length: 3\r\n\r\nabc',
      'Transfer-Encoding: chunked\r\n\r\n',
    )
    wrong(`${chunked}zz\r\n`)
  })
})
