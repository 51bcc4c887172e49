import { TunnelError } from '../errors.ts'

const UNITS = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
  ['ms', 1],
] as const

const UNIT_MS: ReadonlyMap<string, number> = new Map(UNITS)
const FORM = /^(\d{1,9})(ms|s|m|h|d)$/

/** The bounds of a duration in milliseconds, both included. */
export interface DurationRange {
  readonly min: number
  readonly max: number
}

/**
 * Reads a duration such as `90s`, `15m` or `7d`: a whole number and one unit of ms, s, m, h, d.
 *
 * @returns milliseconds within `range`
 * @throws {TunnelError} CONFIG on any other form or a value out of range
 */
export function parseDuration(text: string, range: DurationRange): number {
  const [, count, unit] = FORM.exec(text) ?? []
  const ms = Number(count) * (UNIT_MS.get(unit ?? '') ?? Number.NaN)
  if (Number.isNaN(ms)) throw new TunnelError('CONFIG', 'A duration is a number and a unit: 90s, 15m, 7d.')
  if (ms < range.min || ms > range.max) {
    throw new TunnelError(
      'CONFIG',
      `The duration must be ${formatDuration(range.min)} to ${formatDuration(range.max)}.`,
    )
  }
  return ms
}

/** Writes whole milliseconds in the largest unit that divides them, so that {@link parseDuration} reads them back. */
export function formatDuration(ms: number): string {
  const [unit, size] = UNITS.find(([, size]) => ms > 0 && ms % size === 0) ?? ['ms', 1]
  return `${ms / size}${unit}`
}

/** The day of a moment in UTC, `2026-11-22`. @param ms since 1970 */
export function formatDay(ms: number): string {
  return new Date(ms).toISOString().slice(0, 10)
}
