/** How many backups are kept: the newest of so many days, weeks and months that have one. */
const RETENTION = { daily: 14, weekly: 12, monthly: 12 } as const

const DAY_MS = 86_400_000

/**
 * The days whose backups are no longer kept. Days without a backup do not count, so a relay that was off for long loses none.
 * @param days such as 2026-11-22, in any order
 */
export function expiredDays(
  days: readonly string[],
  keep: { readonly daily: number; readonly weekly: number; readonly monthly: number } = RETENTION,
): readonly string[] {
  const newestFirst = [...new Set(days)].sort().reverse()
  const kept = new Set([
    ...firstOfEach(newestFirst, keep.daily, (day) => day),
    ...firstOfEach(newestFirst, keep.weekly, weekOf),
    ...firstOfEach(newestFirst, keep.monthly, (day) => day.slice(0, 7)),
  ])
  return newestFirst.filter((day) => !kept.has(day)).reverse()
}

function firstOfEach(
  days: readonly string[],
  count: number,
  spanOf: (day: string) => string,
): readonly string[] {
  const firsts = new Map<string, string>()
  for (const day of days) if (!firsts.has(spanOf(day))) firsts.set(spanOf(day), day)
  return [...firsts.values()].slice(0, count)
}

/** The Monday of the week of a day. */
function weekOf(day: string): string {
  const at = Date.parse(day)
  const sinceMonday = (new Date(at).getUTCDay() + 6) % 7
  return new Date(at - sinceMonday * DAY_MS).toISOString().slice(0, 10)
}
