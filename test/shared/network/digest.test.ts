import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { parseChallenges } from '../../../shared/network/challenge.ts'
import { digestAlgorithm, digestAnswer } from '../../../shared/network/digest.ts'

/** The example of RFC 7616 section 3.9.1. */
const RFC_CHALLENGE = (algorithm: string) =>
  `Digest realm="http-auth@example.org", qop="auth, auth-int", algorithm=${algorithm}, ` +
  'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'

function answerTo(value: string): string {
  const [challenge] = parseChallenges([value])
  assert.ok(challenge)
  const algorithm = digestAlgorithm(challenge)
  assert.ok(algorithm)
  return digestAnswer({
    challenge,
    algorithm,
    user: 'Mufasa',
    password: 'Circle of Life',
    method: 'GET',
    uri: '/dir/index.html',
    cnonce: 'f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ',
    count: 1,
  })
}

describe('Digest', () => {
  it('gives the answers of RFC 7616 section 3.9.1', () => {
    assert.match(answerTo(RFC_CHALLENGE('MD5')), /response="8ca523f5e9506fed4657c9700eebdbec"/)
    const sha = answerTo(RFC_CHALLENGE('SHA-256'))
    assert.match(sha, /response="753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"/)
    assert.match(sha, /nc=00000001, .*qop=auth, .*opaque="FQhe/)
  })

  it('writes a backslash in the user as a quoted string needs it', () => {
    const [challenge] = parseChallenges(['Digest realm="r", nonce="n", qop="auth"'])
    assert.ok(challenge)
    const answer = digestAnswer({
      challenge,
      algorithm: 'MD5',
      user: 'CORP\\eve',
      password: '',
      method: 'CONNECT',
      uri: 'h:1',
      cnonce: 'c',
      count: 1,
    })
    assert.match(answer, /username="CORP\\\\eve"/)
  })

  it('leaves aside what it does not speak', () => {
    for (const value of [
      'Digest realm="r", nonce="n"',
      'Digest realm="r", nonce="n", qop="auth-int"',
      'Digest realm="r", qop="auth"',
      'Digest realm="r", nonce="n", qop="auth", algorithm=SHA-512-256',
      'Basic realm="r"',
    ]) {
      const [challenge] = parseChallenges([value])
      assert.ok(challenge)
      assert.equal(digestAlgorithm(challenge), undefined, value)
    }
  })
})

describe('the list of challenges', () => {
  const read = (...values: string[]) =>
    parseChallenges(values).map(({ scheme, token, params }) => [scheme, token, Object.fromEntries(params)])

  it('is read from one header or several', () => {
    assert.deepEqual(read('Negotiate', 'NTLM TlRMTVNTUAAC==', 'Basic realm="a \\"b\\", c", charset=UTF-8'), [
      ['negotiate', '', {}],
      ['ntlm', 'TlRMTVNTUAAC==', {}],
      ['basic', '', { realm: 'a "b", c', charset: 'UTF-8' }],
    ])
    assert.deepEqual(read('Digest realm=x, nonce = "y" , , NTLM, Basic realm="z"'), [
      ['digest', '', { realm: 'x', nonce: 'y' }],
      ['ntlm', '', {}],
      ['basic', '', { realm: 'z' }],
    ])
  })

  it('ends where it cannot be read and has an end', () => {
    assert.deepEqual(read('Basic realm="unfinished'), [['basic', '', {}]])
    assert.deepEqual(read(''), [])
    assert.equal(read(Array.from({ length: 100 }, (_, i) => `S${i}`).join(',')).length, 16)
  })
})
