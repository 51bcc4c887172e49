import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ADMISSION_LIMITS } from '../../../relay/gateway/admission.ts'
import { readDoorFlags } from '../../../relay/gateway/door-flags.ts'
import { formatCidr } from '../../../shared/policy/cidr.ts'

describe('the flags of the door', () => {
  it('name ranges of proxies, of both families', () => {
    const { proxies } = readDoorFlags({ proxyFrom: ['192.0.2.7', '10.0.0.0/24', '2001:db8::/64'] })
    assert.deepEqual(proxies.map(formatCidr), ['192.0.2.7/32', '10.0.0.0/24', '2001:db8::/64'])
    assert.deepEqual(readDoorFlags({}), { proxies: [], limits: {} })
  })

  it('refuse a range that is everybody, none, or in a form that no address has', () => {
    for (const text of ['0.0.0.0/0', '::/0', '10.0.0.1/8', 'balancer', '', '::ffff:10.0.0.0/104'])
      assert.throws(() => readDoorFlags({ proxyFrom: ['192.0.2.7', text] }), {
        code: 'CONFIG',
        message: new RegExp(`--proxy-from ${text}: `),
      })
  })

  it('change each limit, and leave the others', () => {
    const { limits } = readDoorFlags({
      limit: [
        ...['pending-per-address=8000', 'pending=4000', 'visitors=1', 'tunnels-per-second=1000'],
        ...['tunnel-burst=2000', 'enrollments-per-minute=100'],
        ...['handshake=20s', 'headers=1s', 'body=2m', 'answer=1500ms'],
      ],
    })
    assert.deepEqual(Object.keys(limits).sort(), Object.keys(ADMISSION_LIMITS).sort())
    assert.equal(limits.pendingPerAddress, 8_000)
    assert.deepEqual(
      [limits.handshakeMs, limits.headersMs, limits.bodyMs, limits.answerMs],
      [20_000, 1_000, 120_000, 1_500],
    )
    assert.deepEqual(readDoorFlags({ limit: ['pending=5'] }).limits, { pending: 5 })
  })

  it('refuse a limit that is none, out of bounds or not written so', () => {
    const wrong = ['', 'pending', 'pending=', 'pending=0', 'pending=8001', 'pending=1e3', 'pending=-1']
    for (const text of [...wrong, 'toString=1', 'Pending=1', 'headers=10', 'headers=3m', 'headers=1ms'])
      assert.throws(() => readDoorFlags({ limit: [text] }), { code: 'CONFIG', message: /--limit / }, text)
  })
})
