import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  ADMISSION_LIMITS,
  Admission,
  type AdmissionLimits,
  type Ticket,
} from '../../../relay/gateway/admission.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { recordLog } from '../../support/recorded-log.ts'

function admission(limits: Partial<AdmissionLimits> = {}) {
  const effects = new FakeEffects()
  const recorded = recordLog()
  const door = new Admission({ limits: { ...ADMISSION_LIMITS, ...limits }, effects, log: recorded.log })
  return { effects, recorded, door }
}

function entered(door: Admission, address: string): Ticket {
  const ticket = tryEnter(door, address)
  assert.ok(ticket !== undefined, `${address} was refused`)
  return ticket
}

/** As the front door does: what is refused is closed. */
function tryEnter(door: Admission, address: string): Ticket | undefined {
  const ticket = door.enter(address)
  if (ticket?.locate(address) === true) return ticket
  ticket?.leave()
  return undefined
}

describe('pending connections', () => {
  it('are at most so many of one address, and others are not touched by that', () => {
    const { door } = admission()
    const tickets = Array.from({ length: 64 }, () => entered(door, '192.0.2.1'))
    assert.equal(tryEnter(door, '192.0.2.1'), undefined)
    entered(door, '192.0.2.2')
    tickets[0]?.leave()
    entered(door, '192.0.2.1')
    assert.equal(tryEnter(door, '192.0.2.1'), undefined)
    assert.deepEqual(door.counts, { pending: 65, visitors: 0, refused: 2 })
  })

  it('are at most so many in all', () => {
    const { door } = admission({ pending: 3 })
    const [first] = ['192.0.2.1', '192.0.2.2', '2001:db8::1'].map((address) => entered(door, address))
    assert.equal(tryEnter(door, '192.0.2.4'), undefined)
    first?.leave()
    entered(door, '192.0.2.4')
  })

  it('of one IPv6 /64 count as of one address, whatever their form', () => {
    const { door } = admission({ pendingPerAddress: 2 })
    entered(door, '2001:db8:0:1::1')
    entered(door, '2001:db8:0:1:ffff:ffff:ffff:ffff')
    assert.equal(tryEnter(door, '2001:0DB8::1:0:0:0:2'), undefined)
    entered(door, '2001:db8:0:2::1')
    entered(door, '192.0.2.1')
    entered(door, '::ffff:192.0.2.1')
    assert.equal(tryEnter(door, '192.0.2.1'), undefined)
    entered(door, 'fe80::1%eth0')
    entered(door, 'fe80::2%eth1')
    assert.equal(tryEnter(door, 'fe80::3%eth0'), undefined)
  })

  it('are no longer counted once they are tunnels, visitors or gone, each once', () => {
    const { door } = admission({ pendingPerAddress: 1, pending: 1 })
    const tunnel = entered(door, '192.0.2.1')
    tunnel.prove()
    const visitor = entered(door, '192.0.2.1')
    assert.ok(visitor.visit())
    assert.ok(visitor.visit(), 'the second request of a connection')
    const gone = entered(door, '192.0.2.1')
    gone.leave()
    gone.leave()
    gone.prove()
    assert.equal(gone.visit(), false)
    assert.deepEqual(door.counts, { pending: 0, visitors: 1, refused: 0 })
    assert.deepEqual(
      [tunnel, visitor, gone].map((ticket) => ticket.standing),
      ['tunnel', 'visitor', 'gone'],
    )
    for (const ticket of [tunnel, visitor]) ticket.leave()
    assert.deepEqual(door.counts, { pending: 0, visitors: 0, refused: 0 })
  })

  it('cannot all become visitors', () => {
    const { door } = admission({ visitors: 1 })
    const [first, second] = [entered(door, '192.0.2.1'), entered(door, '192.0.2.1')]
    assert.ok(first.visit())
    assert.equal(second.visit(), false)
    assert.equal(second.standing, 'pending')
    first.leave()
    assert.ok(second.visit())
  })

  it('that are refused share a line of the log, one a second', () => {
    const { door, effects, recorded } = admission({ pending: 0 })
    for (let i = 0; i < 500; i++) tryEnter(door, `192.0.2.${i % 200}`)
    assert.equal(recorded.length, 0)
    effects.advance(1_000)
    assert.deepEqual(
      recorded.records.map(({ msg, refused, firstFrom }) => ({ msg, refused, firstFrom })),
      [{ msg: 'connections refused', refused: 500, firstFrom: '192.0.2.0' }],
    )
    effects.advance(10_000)
    assert.equal(recorded.length, 1)
    tryEnter(door, '192.0.2.7')
    effects.advance(1_000)
    assert.equal(recorded.records[1]?.refused, 1)
    assert.equal(door.counts.refused, 501)
  })
})

describe('tunnels', () => {
  it('may open 400 at once and then 300 a second', () => {
    const { door, effects } = admission()
    const opened = () => {
      let count = 0
      while (door.takeTunnel()) count++
      return count
    }
    assert.equal(opened(), 400)
    effects.advance(1_000)
    assert.equal(opened(), 300)
    effects.advance(60_000)
    assert.equal(opened(), 400)
  })
})

describe('enrolments', () => {
  it('are 10 a minute for each address', () => {
    const { door, effects } = admission()
    const allowed = (address: string) => Array.from({ length: 20 }, () => door.takeEnrollment(address))
    assert.equal(allowed('192.0.2.1').filter(Boolean).length, 10)
    assert.equal(allowed('2001:db8::1').filter(Boolean).length, 10)
    assert.equal(allowed('2001:db8::2').filter(Boolean).length, 0)
    effects.advance(6_001)
    assert.equal(allowed('192.0.2.1').filter(Boolean).length, 1)
    effects.advance(600_000)
    assert.equal(allowed('192.0.2.1').filter(Boolean).length, 10)
  })

  it('are counted for the addresses that asked last, so that memory has an end', () => {
    const { door } = admission({ enrollmentsPerMinute: 1 })
    const address = (index: number) => `10.${index >> 16}.${(index >> 8) & 255}.${index & 255}`
    assert.ok(door.takeEnrollment(address(0)))
    for (let index = 1; index < 10_000; index++) assert.ok(door.takeEnrollment(address(index)))
    assert.equal(door.takeEnrollment(address(0)), false, 'remembered, and now the last')
    assert.ok(door.takeEnrollment(address(10_000)))
    assert.equal(door.takeEnrollment(address(0)), false)
    assert.ok(door.takeEnrollment(address(1)), 'forgotten')
  })
})
