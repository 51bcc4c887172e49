import { TunnelError } from '../../shared/errors.ts'

/** What the clocks of a time zone show. */
export interface WallClock {
  /** Ms from 1970-01-01 00:00 by those clocks. */
  readonly local: number
  /** What they are ahead of UTC, in ms. */
  readonly offset: number
}

/** There are some 600 zones; making a format costs a hundred times what using it does. */
const FORMATS_MAX = 1_000
const formats = new Map<string, Intl.DateTimeFormat>()

/** `1/31/2026, 08:05:59` */
const FORM = /^(\d+)\/(\d+)\/(\d+), (\d+):(\d+):(\d+)$/

/**
 * What the clocks of `zone` show `at` ms since 1970, in 2 microseconds.
 * @throws {TunnelError} CONFIG where there is no such zone
 */
export function wallClock(zone: string, at: number): WallClock {
  const whole = Math.floor(at / 1_000) * 1_000
  const parts = FORM.exec(formatOf(zone).format(whole))
  if (parts === null)
    throw new TunnelError('INTERNAL', 'The time zones of this system are written otherwise.')
  const [, month = 0, day = 0, year = 0, hour = 0, minute = 0, second = 0] = parts.map(Number)
  const local = Date.UTC(year, month - 1, day, hour, minute, second)
  return { local: local + (at - whole), offset: local - whole }
}

/** The minute of the day, 0 to 1439. */
export function wallMinute({ local }: WallClock): number {
  return Math.floor(local / 60_000) % 1_440
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  try {
    const format = new Intl.DateTimeFormat('en-US', {
      timeZone: zone,
      hourCycle: 'h23',
      ...{ year: 'numeric', month: 'numeric', day: 'numeric' },
      ...{ hour: '2-digit', minute: '2-digit', second: '2-digit' },
    })
    if (formats.size >= FORMATS_MAX) formats.clear()
    formats.set(zone, format)
    return format
  } catch (cause) {
    throw new TunnelError('CONFIG', `There is no time zone ${zone}; they are named as Europe/Berlin.`, {
      cause,
    })
  }
}
