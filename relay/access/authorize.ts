import type { Assignment, Caller, Place } from '../operations/operation.ts'
import { type Right, ROLE_RIGHTS } from './rights.ts'

/** Whether `caller` holds `right` at `place`; undefined is the relay as a whole, which belongs to the operator of the machine. */
export function holds(caller: Caller, right: Right, place: Place | undefined): boolean {
  if (caller.kind === 'operator') return true
  if (place === undefined || place.tenantId !== caller.tenantId) return false
  return caller.assignments.some(
    (assignment) => ROLE_RIGHTS[assignment.role].includes(right) && covers(assignment, place),
  )
}

/** Whether `caller` may know that `place` exists: it holds something there, or within it. */
export function sees(caller: Caller, place: Place): boolean {
  return caller.kind === 'operator' || place.tenantId === caller.tenantId
}

/** A role at a place holds for all within it. */
function covers(assignment: Assignment, place: Place): boolean {
  if (assignment.tenantId !== place.tenantId) return false
  if (assignment.environment !== undefined && assignment.environment !== place.environment) return false
  return assignment.site === undefined || assignment.site === place.site
}
