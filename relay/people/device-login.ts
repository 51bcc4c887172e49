import { TunnelError } from '../../shared/errors.ts'
import type { Act } from '../audit/record.ts'
import type { Approval } from './devices.ts'
import type { Origin, People } from './people.ts'
import { type OpenedSession, openSession } from './sessions.ts'

/** Lets a command line in that shows this code to its person. @throws {TunnelError} NOT_FOUND */
export function approveDevice(
  people: People,
  request: { readonly tenantId: string; readonly personId: string; readonly userCode: string },
  proof: Pick<Approval, 'authenticatedAt' | 'hasSecondFactor'>,
  act: Act,
): void {
  const { tenantId, personId, userCode } = request
  const { source } = people.devices.find(tenantId, userCode)
  people.devices.approve(userCode, { tenantId, personId, ...proof })
  const deed = {
    action: 'person.device',
    object: personId,
    outcome: 'OK',
    detail: `asked from ${source}`,
  } as const
  people.audit({ ...deed, tenantId, actor: act.actor, source: act.source, traceId: act.traceId })
}

/**
 * The session of a command line that was let in. @returns undefined while nobody has decided
 * @throws {TunnelError} LOGIN, ENHANCE_CALM
 */
export async function approvedSession(
  people: People,
  deviceCode: string,
  origin: Origin,
): Promise<OpenedSession | undefined> {
  const approval = people.devices.poll(deviceCode)
  if (approval === undefined) return undefined
  const { tenantId, personId, authenticatedAt, hasSecondFactor } = approval
  // Whoever approved may be gone since.
  const person = await people.store.findPerson(tenantId, personId)
  if (person === undefined || person.lockedAt !== undefined) throw new TunnelError('LOGIN')
  return openSession(
    people,
    { tenantId, personId, carrier: 'bearer', how: 'device', authenticatedAt, hasSecondFactor },
    origin,
  )
}
