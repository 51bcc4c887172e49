import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  authenticateMessage,
  lmResponse,
  negotiateMessage,
  ntlmAccount,
  ntlmKey,
  ntlmResponse,
  parseChallengeMessage,
} from '../../../shared/network/ntlm.ts'

/** The example of MS-NLMP section 4.2.4, with the common values of 4.2.1. */
const account = { user: 'User', domain: 'Domain', password: 'Password' }
const serverChallenge = Buffer.from('0123456789abcdef', 'hex')
const clientChallenge = Buffer.alloc(8, 0xaa)
const targetInfo = Buffer.concat([avPair(2, 'Domain'), avPair(1, 'Server'), Buffer.alloc(4)])

function avPair(id: number, value: string | Buffer): Buffer {
  const bytes = typeof value === 'string' ? Buffer.from(value, 'utf16le') : value
  const head = Buffer.alloc(4)
  head.writeUInt16LE(id)
  head.writeUInt16LE(bytes.length, 2)
  return Buffer.concat([head, bytes])
}

/** A CHALLENGE message (section 2.2.1.2) with these AV pairs. */
function challengeMessage(pairs: Buffer): Buffer {
  const message = Buffer.alloc(56)
  message.write('NTLMSSP\0', 'latin1')
  message.writeUInt32LE(2, 8)
  serverChallenge.copy(message, 24)
  message.writeUInt16LE(pairs.length, 40)
  message.writeUInt16LE(pairs.length, 42)
  message.writeUInt32LE(56, 44)
  return Buffer.concat([message, pairs])
}

/** One field of an AUTHENTICATE message, by where its length stands. */
function field(message: Buffer, at: number): Buffer {
  const offset = message.readUInt32LE(at + 4)
  return message.subarray(offset, offset + message.readUInt16LE(at))
}

describe('NTLMv2', () => {
  it('gives the values of MS-NLMP section 4.2.4', () => {
    const key = ntlmKey(account)
    assert.equal(key.toString('hex'), '0c868a403bfd7a93a3001ef22ef02e3f')
    assert.equal(
      lmResponse(key, serverChallenge, clientChallenge).toString('hex'),
      '86c35097ac9cec102554764a57cccc19aaaaaaaaaaaaaaaa',
    )
    const made = ntlmResponse(key, serverChallenge, targetInfo, Buffer.alloc(8), clientChallenge)
    assert.equal(made.response.subarray(0, 16).toString('hex'), '68cd0ab851e51c96aabc927bebef6a1c')
    assert.equal(made.sessionKey.toString('hex'), '8de40ccadbc14a82f15cb0ad0de95ca3')
  })

  it('splits DOMAIN\\user and leaves user@domain whole', () => {
    assert.deepEqual(ntlmAccount('CORP\\eve', 'x'), { user: 'eve', domain: 'CORP', password: 'x' })
    assert.deepEqual(ntlmAccount('eve@corp', 'x'), { user: 'eve@corp', domain: '', password: 'x' })
  })

  it('answers a challenge without a time with LMv2 beside it and no MIC', () => {
    const message = authenticateMessage({
      account,
      challengeMessage: challengeMessage(targetInfo),
      clientChallenge,
      nowMs: 0,
    })
    assert.equal(message.readUInt32LE(8), 3)
    assert.equal(field(message, 12).length, 24)
    assert.notDeepEqual(field(message, 12), Buffer.alloc(24))
    assert.equal(field(message, 28).toString('utf16le'), 'Domain')
    assert.equal(field(message, 36).toString('utf16le'), 'User')
    assert.deepEqual(message.subarray(72, 88), Buffer.alloc(16))
    // 1970 as FILETIME.
    assert.equal(field(message, 20).readBigUInt64LE(24), 116_444_736_000_000_000n)
  })

  it('answers a challenge with a time by that time, a MIC and no LM response', () => {
    const time = Buffer.from('0011223344556677', 'hex')
    const pairs = Buffer.concat([avPair(2, 'Domain'), avPair(7, time), Buffer.alloc(4)])
    const input = { account, challengeMessage: challengeMessage(pairs), clientChallenge, nowMs: 0 }
    const message = authenticateMessage(input)
    assert.deepEqual(field(message, 12), Buffer.alloc(24))
    const response = field(message, 20)
    assert.deepEqual(response.subarray(24, 32), time)
    assert.ok(response.includes(avPair(6, Buffer.from([2, 0, 0, 0]))), 'the flags say that there is a MIC')
    assert.notDeepEqual(message.subarray(72, 88), Buffer.alloc(16))
  })

  it('refuses challenges that are not right', () => {
    const right = challengeMessage(targetInfo)
    const pointsBeyond = Buffer.from(right)
    pointsBeyond.writeUInt32LE(0xffff_fff0, 44)
    const lyingPair = challengeMessage(Buffer.from([7, 0, 200, 0, 1]))
    for (const wrong of [
      Buffer.alloc(0),
      right.subarray(0, 40),
      negotiateMessage(),
      pointsBeyond,
      lyingPair,
    ]) {
      assert.throws(() => parseChallengeMessage(wrong), { code: 'PROXY_UNREACHABLE' })
    }
  })
})
