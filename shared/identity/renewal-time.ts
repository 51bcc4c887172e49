/**
 * When to renew, by the clock of this machine alone: at two thirds of the lifetime, give or take a tenth of it, so that
 * those that enrolled together do not come back together.
 *
 * @param random in [0, 1)
 * @returns milliseconds since 1970
 */
export function renewalTime(obtainedAt: number, lifetimeMs: number, now: number, random: number): number {
  const delay = lifetimeMs * (2 / 3 + (random - 0.5) / 5)
  // A clock that was set back must not put the renewal off beyond the lifetime.
  return Math.min(obtainedAt, now) + delay
}

/**
 * How long to wait after the given number of failures in a row, in milliseconds: from a minute, doubled each time, up to
 * an hour, half of it by chance. For short lifetimes less, so that a dozen attempts fit into what is left.
 *
 * @param failures 1 or more
 * @param random in [0, 1)
 */
export function retryDelay(failures: number, lifetimeMs: number, random: number): number {
  const first = Math.min(60_000, lifetimeMs / 60)
  const most = Math.min(3_600_000, lifetimeMs / 12)
  const delay = Math.min(most, first * 2 ** Math.min(failures - 1, 20))
  return delay * (0.5 + random / 2)
}
