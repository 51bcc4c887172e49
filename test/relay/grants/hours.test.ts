import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { closesAt, formatHours, type Hours, parseHours } from '../../../relay/grants/hours.ts'
import { grantVerdict } from '../../../relay/grants/terms.ts'

const at = (text: string) => Date.parse(text)
const isWithin = (hours: Hours, when: number) => closesAt(hours, when) !== undefined
const iso = (ms: number | undefined) => (ms === undefined ? undefined : new Date(ms).toISOString())

describe('hours of a grant', () => {
  const office = parseHours('mon-fri 08:00-18:00 Europe/Berlin')

  it('are written in one form, which is read again', () => {
    assert.equal(formatHours(office), 'mon,tue,wed,thu,fri 08:00-18:00 Europe/Berlin')
    assert.deepEqual(parseHours(formatHours(office)), office)
    assert.deepEqual(parseHours('fri-mon 22:00-06:00 UTC').days, [0, 1, 5, 6])
  })

  for (const bad of [
    'mon-fri 08:00-18:00',
    'mon-fri 08:00-18:00 Mars/Olympus',
    'mon-fri 8:00-18:00 UTC',
    'mon-fri 08:00-24:01 UTC',
    'mon-fri 24:00-08:00 UTC',
    'mon-fri 08:00-08:00 UTC',
    'mon-fri 08:00-00:00 UTC',
    'one-two 08:00-18:00 UTC',
    'mon-tue-wed 08:00-18:00 UTC',
    '',
    `${'mon,'.repeat(20)}mon 08:00-18:00 UTC`,
  ]) {
    it(`"${bad.slice(0, 40)}" are none`, () => assert.throws(() => parseHours(bad), { code: 'CONFIG' }))
  }

  it('begin with their first minute and end with their last, by the clocks of the zone', () => {
    // Wednesday, CET.
    assert.equal(isWithin(office, at('2026-11-25T06:59:59.999Z')), false)
    assert.equal(isWithin(office, at('2026-11-25T07:00:00Z')), true)
    assert.equal(isWithin(office, at('2026-11-25T16:59:59.999Z')), true)
    assert.equal(isWithin(office, at('2026-11-25T17:00:00Z')), false)
    // Saturday.
    assert.equal(isWithin(office, at('2026-11-28T12:00:00Z')), false)
    assert.equal(iso(closesAt(office, at('2026-11-25T12:34:56.789Z'))), '2026-11-25T17:00:00.000Z')
    assert.equal(closesAt(office, at('2026-11-25T17:00:00Z')), undefined)
  })

  it('over midnight belong to the day on which they begin', () => {
    const night = parseHours('fri 22:00-06:00 Europe/Berlin')
    assert.equal(isWithin(night, at('2026-11-27T21:00:00Z')), true)
    assert.equal(isWithin(night, at('2026-11-28T04:59:00Z')), true)
    assert.equal(isWithin(night, at('2026-11-27T04:59:00Z')), false)
    assert.equal(iso(closesAt(night, at('2026-11-27T22:00:00Z'))), '2026-11-28T05:00:00.000Z')
    assert.equal(iso(closesAt(night, at('2026-11-28T01:00:00Z'))), '2026-11-28T05:00:00.000Z')
  })

  it('follow the clocks when they are put forward: 2026-03-29 01:00 UTC', () => {
    const morning = parseHours('sun 01:00-05:00 Europe/Berlin')
    const before = at('2026-03-29T00:30:00Z')
    assert.equal(iso(closesAt(morning, before)), '2026-03-29T03:00:00.000Z')
    // 02:30 never comes: at 02:00 it is 03:00.
    const skipped = parseHours('sun 01:00-02:30 Europe/Berlin')
    assert.equal(iso(closesAt(skipped, before)), '2026-03-29T01:00:00.000Z')
    assert.equal(isWithin(skipped, at('2026-03-29T01:00:00Z')), false)
  })

  it('follow the clocks when they are put back: 2026-10-25 01:00 UTC', () => {
    const morning = parseHours('sun 01:00-05:00 Europe/Berlin')
    assert.equal(iso(closesAt(morning, at('2026-10-24T23:30:00Z'))), '2026-10-25T04:00:00.000Z')
    // 02:30 comes twice, and both times it closes.
    const half = parseHours('sun 01:00-02:30 Europe/Berlin')
    assert.equal(iso(closesAt(half, at('2026-10-24T23:30:00Z'))), '2026-10-25T00:30:00.000Z')
    assert.equal(isWithin(half, at('2026-10-25T00:45:00Z')), false)
    assert.equal(iso(closesAt(half, at('2026-10-25T01:15:00Z'))), '2026-10-25T01:30:00.000Z')
    // Open to the turn of the clocks, and closed after it, because they show an hour before the hours.
    const late = parseHours('sun 02:15-03:30 Europe/Berlin')
    assert.equal(iso(closesAt(late, at('2026-10-25T00:30:00Z'))), '2026-10-25T01:00:00.000Z')
  })

  it('are what the clocks show all through a year, in zones that differ', () => {
    for (const zone of ['America/St_Johns', 'Australia/Lord_Howe', 'Asia/Kathmandu']) {
      const hours = parseHours(`mon,wed,sat 21:30-03:15 ${zone}`)
      for (let day = 0; day < 366; day += 3) {
        const now = Date.UTC(2026, 0, 1) + day * 86_400_000 + ((day * 7_919) % 1_440) * 60_000
        const end = closesAt(hours, now)
        let scan = now
        while (isWithin(hours, scan)) scan += 15 * 60_000 - (scan % (15 * 60_000))
        assert.equal(iso(end), scan === now ? undefined : iso(scan))
      }
    }
  })
})

describe('a verdict over several grants', () => {
  const now = at('2026-11-25T12:00:00Z')
  const office = parseHours('mon-fri 08:00-18:00 Europe/Berlin')

  it('holds as long as the longest does', () => {
    assert.deepEqual(grantVerdict([{}], now), { holds: true, until: Number.POSITIVE_INFINITY })
    const all = [{ hours: office }, { expiresAt: now + 1_000 }, { expiresAt: now - 1 }]
    assert.deepEqual(grantVerdict(all, now), { holds: true, until: at('2026-11-25T17:00:00Z') })
  })

  it('says why none holds', () => {
    assert.deepEqual(grantVerdict([], now), { holds: false, fault: 'none' })
    assert.deepEqual(grantVerdict([{ expiresAt: now }], now), { holds: false, fault: 'expired' })
    const evening = at('2026-11-25T20:00:00Z')
    assert.deepEqual(grantVerdict([{ hours: office }], evening), { holds: false, fault: 'hours' })
  })
})
