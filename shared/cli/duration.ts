import { TunnelError } from '../errors.ts'

const UNITS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
}

export interface DurationLimits {
  /** Smallest value taken, in ms; 1 by default. */
  readonly minMs?: number
  /** Largest value taken, in ms; 366 days by default. */
  readonly maxMs?: number
}

/**
 * Milliseconds of a duration such as `90s`, `15m`, `2h` or `7d`: a whole number and one unit, nothing else.
 * @throws {TunnelError} USAGE for any other form, or outside the limits
 */
export function parseDuration(
  text: string,
  { minMs = 1, maxMs = 366 * 86_400_000 }: DurationLimits = {},
): number {
  const match = /^([0-9]{1,9})(ms|s|m|h|d)$/.exec(text)
  const unit = UNITS[match?.[2] ?? '']
  if (match === null || unit === undefined) {
    throw new TunnelError('USAGE', `"${text.slice(0, 40)}" is no duration; write it as 90s, 15m, 2h or 7d.`)
  }
  const ms = Number(match[1]) * unit
  if (ms < minMs || ms > maxMs) {
    throw new TunnelError(
      'USAGE',
      `${text} is not between ${formatDuration(minMs)} and ${formatDuration(maxMs)}.`,
    )
  }
  return ms
}

/** `ms` (a whole number, 0 or more) in the largest unit that holds it whole: 900000 is `15m`. */
export function formatDuration(ms: number): string {
  const fitting = Object.entries(UNITS).filter(([, size]) => ms >= size && ms % size === 0)
  const [unit, size] = fitting.at(-1) ?? ['ms', 1]
  return `${ms / size}${unit}`
}
