import type { Assignment, Caller, Place } from '../operations/operation.ts'
import { type Right, ROLE_RIGHTS } from './rights.ts'

/**
 * Whether `caller` holds `right` at `place`; undefined is the relay as a whole, which belongs to the operator of the machine and
 * to the tokens that he has lent.
 * What a program does (`via` is `api`) in production takes an assignment that allows it, so that a key that was made for a
 * test reaches nothing that matters.
 *
 * @param isProduction whether the place is in production or, as a whole tenant is, holds a part of it
 */
export function holds(
  caller: Caller,
  right: Right,
  place: Place | undefined,
  isProduction: boolean,
): boolean {
  if (right === 'self') return isOneself(caller, place)
  if (caller.kind === 'operator') return true
  if (place === undefined) return caller.kind === 'operator-token'
  if (place.tenantId !== caller.tenantId) return false
  const needsMark = isProduction && caller.via === 'api'
  return caller.assignments.some(
    (assignment) =>
      ROLE_RIGHTS[assignment.role].includes(right) &&
      covers(assignment, place) &&
      (!needsMark || assignment.viaApi === true),
  )
}

/** Whoever has logged in may change the own password and factors, whatever the roles; a key may not, nor may the operator. */
function isOneself(caller: Caller, place: Place | undefined): boolean {
  return caller.kind === 'person' && caller.via === 'session' && caller.tenantId === place?.tenantId
}

/** Whether `caller` may give or take away a role: nobody gives rights at a place that he does not hold there himself. */
export function mayGive(caller: Caller, assignment: Assignment): boolean {
  if (caller.kind === 'operator') return true
  return ROLE_RIGHTS[assignment.role].every((right) =>
    caller.assignments.some((held) => ROLE_RIGHTS[held.role].includes(right) && covers(held, assignment)),
  )
}

/** Whether `caller` may know that `place` exists: it holds something there, or within it. */
export function sees(caller: Caller, place: Place): boolean {
  return caller.kind === 'operator' || place.tenantId === caller.tenantId
}

/** A role at a place holds for all within it. */
export function covers(assignment: Assignment, place: Place): boolean {
  if (assignment.tenantId !== place.tenantId) return false
  if (assignment.environment !== undefined && assignment.environment !== place.environment) return false
  return assignment.site === undefined || assignment.site === place.site
}
