import { TunnelError } from '../../shared/errors.ts'
import { type WallClock, wallClock, wallMinute } from './wall-clock.ts'

/** Days as Date counts them: 0 is Sunday. */
const DAYS: readonly string[] = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat']

const DAY_MINUTES = 1_440
const MINUTE_MS = 60_000

/** When something may be used: on some days of the week, from one time to another, by the clocks of a time zone. */
export interface Hours {
  /** 0 (Sunday) to 6, ascending, at least one. Hours over midnight belong to the day on which they begin. */
  readonly days: readonly number[]
  /** Minute of the day, 0 to 1439. */
  readonly from: number
  /** Minute of the day, 1 to 1440. Not after `from`: it is that of the next day. */
  readonly to: number
  /** IANA time zone, such as `Europe/Berlin`. */
  readonly zone: string
}

const FORM = /^(?<days>[a-z,-]{3,40}) (?<from>[0-9:]{5})-(?<to>[0-9:]{5}) (?<zone>[A-Za-z0-9_+/-]{1,64})$/
const TIME = /^(?<hour>[01][0-9]|2[0-4]):(?<minute>[0-5][0-9])$/

/**
 * Reads `DAYS FROM-TO ZONE`, such as `mon-fri 08:00-18:00 Europe/Berlin` or `sat,sun 22:00-06:00 UTC`.
 * @throws {TunnelError} CONFIG which says what is not right
 */
export function parseHours(text: string): Hours {
  const parts = FORM.exec(text)?.groups
  if (parts === undefined)
    throw new TunnelError('CONFIG', 'Hours are written as: mon-fri 08:00-18:00 Europe/Berlin')
  const { days = '', from = '', to = '', zone = '' } = parts
  const hours = { days: parseDays(days), from: parseTime(from), to: parseTime(to), zone }
  if (hours.from === DAY_MINUTES || hours.to === 0 || hours.from === hours.to)
    throw new TunnelError('CONFIG', 'Hours begin at 00:00 to 23:59 and end at another time, 24:00 at most.')
  // Asked once, so that it cannot fail later.
  wallClock(zone, 0)
  return hours
}

/** The text that {@link parseHours} reads, days one by one. */
export function formatHours({ days, from, to, zone }: Hours): string {
  return `${days.map((day) => DAYS[day]).join(',')} ${formatTime(from)}-${formatTime(to)} ${zone}`
}

/**
 * When the hours that `at` lies in are over, in ms since 1970, whatever the clocks do in between: where they are put forward
 * past the end, it is that moment. Undefined where `at` is outside.
 */
export function closesAt(hours: Hours, at: number): number | undefined {
  const now = wallClock(hours.zone, at)
  const start = beginning(hours, now)
  if (start === undefined) return undefined
  const end = start + (hours.to > hours.from ? hours.to : hours.to + DAY_MINUTES) * MINUTE_MS
  const plain = end - now.offset
  if (wallClock(hours.zone, plain).offset === now.offset) return plain
  const turn = turnOfClocks(hours.zone, at, plain)
  const after = wallClock(hours.zone, turn)
  return beginning(hours, after) === undefined ? turn : end - after.offset
}

/** Midnight of the day to which the hours belong that the clock shows, as its own clock counts ms; undefined: none. */
function beginning({ days, from, to }: Hours, clock: WallClock): number | undefined {
  const minute = wallMinute(clock)
  const today = clock.local - (clock.local % (DAY_MINUTES * MINUTE_MS))
  const isToday = minute >= from && (to <= from || minute < to)
  if (isToday && days.includes(weekday(today))) return today
  const yesterday = today - DAY_MINUTES * MINUTE_MS
  return to <= from && minute < to && days.includes(weekday(yesterday)) ? yesterday : undefined
}

/** 1970 began on a Thursday. */
function weekday(midnight: number): number {
  return (midnight / (DAY_MINUTES * MINUTE_MS) + 4) % 7
}

/** The first minute after `from` at which the zone counts otherwise; by `to` it does. Within a day clocks are put once. */
function turnOfClocks(zone: string, from: number, to: number): number {
  const before = wallClock(zone, from).offset
  let [low, high] = [Math.floor(from / MINUTE_MS), Math.ceil(to / MINUTE_MS)]
  while (high - low > 1) {
    const middle = Math.floor((low + high) / 2)
    if (wallClock(zone, middle * MINUTE_MS).offset === before) low = middle
    else high = middle
  }
  return high * MINUTE_MS
}

function parseDays(text: string): number[] {
  const chosen = new Set<number>()
  for (const part of text.split(',')) {
    const [first = '', last = first, ...rest] = part.split('-')
    const [start, end] = [dayOf(first), dayOf(last)]
    if (rest.length > 0) throw new TunnelError('CONFIG', 'Days are written as mon-fri or sat,sun.')
    for (let day = start; ; day = (day + 1) % 7) {
      chosen.add(day)
      if (day === end) break
    }
  }
  return [...chosen].sort()
}

function dayOf(name: string): number {
  const day = DAYS.indexOf(name)
  if (day === -1) throw new TunnelError('CONFIG', `Days are ${DAYS.join(', ')}.`)
  return day
}

function parseTime(text: string): number {
  const { hour = '', minute = '' } = TIME.exec(text)?.groups ?? {}
  const minutes = Number(hour) * 60 + Number(minute)
  if (hour === '' || minutes > DAY_MINUTES) throw new TunnelError('CONFIG', 'Times are 00:00 to 24:00.')
  return minutes
}

function formatTime(minutes: number): string {
  const pad = (value: number) => String(value).padStart(2, '0')
  return `${pad(Math.floor(minutes / 60))}:${pad(minutes % 60)}`
}
