import { closesAt, type Hours } from './hours.ts'

/** Under which conditions a connector may open a resource. */
export interface GrantTerms {
  /** Ms since 1970; undefined: it stays until it is removed. */
  readonly expiresAt?: number | undefined
  /** Undefined: at any time. */
  readonly hours?: Hours | undefined
}

/** Why a grant does not hold now. */
export type GrantFault = 'none' | 'expired' | 'hours'

/** Until when it holds, in ms since 1970; Infinity: until something changes. */
export type GrantVerdict =
  | { readonly holds: true; readonly until: number }
  | { readonly holds: false; readonly fault: GrantFault }

/** Whether any of several grants of one resource to one connector holds `at` ms since 1970, and how long. */
export function grantVerdict(all: readonly GrantTerms[], at: number): GrantVerdict {
  let until = Number.NEGATIVE_INFINITY
  let fault: GrantFault = 'none'
  for (const { expiresAt = Number.POSITIVE_INFINITY, hours } of all) {
    if (at >= expiresAt) {
      if (fault === 'none') fault = 'expired'
      continue
    }
    const closes = hours === undefined ? Number.POSITIVE_INFINITY : closesAt(hours, at)
    if (closes === undefined) fault = 'hours'
    else until = Math.max(until, Math.min(closes, expiresAt))
  }
  return until > at ? { holds: true, until } : { holds: false, fault }
}
