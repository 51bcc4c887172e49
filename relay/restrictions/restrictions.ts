import { TunnelError } from '../../shared/errors.ts'
import type { RestrictionTarget, StoredRestriction } from '../store/restriction-store.ts'
import { admits, type Peer, parseCa, parseRanges, type Restriction } from './restriction.ts'

/** What restricts what of a tenant, to be asked for every login and stream. */
export type Restrictions = ReadonlyMap<string, readonly Restriction[]>

/** A restriction and where it is attached. */
export interface AttachedRestriction extends StoredRestriction {
  readonly targets: readonly RestrictionTarget[]
}

/** Makes it from what the store lists. @throws {TunnelError} CONFIG for what should not have been stored */
export function restrictionsOf(all: readonly AttachedRestriction[]): Restrictions {
  const byTarget = new Map<string, Restriction[]>()
  for (const { name, ranges, ca, targets } of all) {
    const restriction = { name, ranges: parseRanges(ranges), ca: ca === undefined ? undefined : parseCa(ca) }
    for (const target of targets) {
      const key = keyOf(target)
      byTarget.set(key, [...(byTarget.get(key) ?? []), restriction])
    }
  }
  return byTarget
}

/**
 * Every restriction of every target must let the peer in: one more never lets anybody in.
 * @throws {TunnelError} RESTRICTED. Which restriction it was is for the relay's own people: the peer learns nothing of ranges
 */
export function checkRestrictions(
  restrictions: Restrictions,
  targets: readonly RestrictionTarget[],
  peer: Peer,
  now: number,
): void {
  if (restrictions.size === 0) return
  for (const target of targets) {
    const all = restrictions.get(keyOf(target)) ?? []
    if (!all.every((one) => admits(one, peer, now))) throw new TunnelError('RESTRICTED')
  }
}

/** No name has a blank in it. */
function keyOf({ kind, environment, target }: RestrictionTarget): string {
  return `${kind} ${environment} ${target}`
}
