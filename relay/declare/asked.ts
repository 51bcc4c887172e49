import { TunnelError } from '../../shared/errors.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import { mayGive } from '../access/authorize.ts'
import { setCopies } from '../operations/copies.ts'
import { addDelivery, removeDelivery } from '../operations/delivery.ts'
import { addFreeze, removeFreeze } from '../operations/freeze.ts'
import { addGrant, removeGrant } from '../operations/grants.ts'
import { addConnector, revokeConnector } from '../operations/identities.ts'
import { addMachine, revokeMachine } from '../operations/machines.ts'
import type { Assignment, Operation, OperationContext, Place } from '../operations/operation.ts'
import { grantRole, requirePerson, revokeRole, setLockout } from '../operations/people.ts'
import { addPublication, removePublication } from '../operations/publications.ts'
import {
  attachRestriction,
  detachRestriction,
  removeRestriction,
  setRestriction,
} from '../operations/restrictions.ts'
import { setSecondFactor } from '../operations/second-factor.ts'
import { addProvider, removeProvider, updateProvider } from '../operations/sso.ts'
import { addEnvironment, removeEnvironment } from '../operations/tenants.ts'
import type { Change, SectionChange } from './diff.ts'
import type { Items, SectionName } from './document.ts'

/** What a caller would have to do by hand. */
export interface Asked {
  readonly operation: Pick<Operation, 'name' | 'right' | 'isDangerous'>
  readonly place: Place
  /** What the operation asks beside its right. @throws {TunnelError} FORBIDDEN, NOT_FOUND */
  check?(context: OperationContext): Promise<void>
}

type AskedBy = {
  readonly [Name in SectionName]: (change: SectionChange<Name>, tenantId: string) => readonly Asked[]
}

type Setting = keyof Items['settings']

const SETTERS: Readonly<Record<Setting, Asked['operation']>> = {
  lockoutFailures: setLockout,
  copies: setCopies,
  secondFactor: setSecondFactor,
}

const ASKED: AskedBy = {
  settings: ({ fields }, tenantId) =>
    fields.map(({ field }) => ({ operation: SETTERS[field as Setting], place: { tenantId } })),
  environments: ({ to }, tenantId) => [
    { operation: to === undefined ? removeEnvironment : addEnvironment, place: { tenantId } },
  ],
  restrictions: askedOfRestriction,
  connectors: ({ to, from }, tenantId) => [
    {
      operation: to === undefined ? revokeConnector : addConnector,
      place: { tenantId, environment: (to ?? from)?.environment },
    },
  ],
  grants: ({ to, from }, tenantId) => [
    { operation: to === undefined ? removeGrant : addGrant, place: resourceAt(to ?? from, tenantId) },
  ],
  publications: ({ to, from }, tenantId) =>
    both(removePublication, addPublication, from, to, ({ environment }) => ({ tenantId, environment })),
  deliveries: ({ to, from }, tenantId) => both(removeDelivery, addDelivery, from, to, () => ({ tenantId })),
  providers: ({ action, to, from }, tenantId) =>
    action === 'change'
      ? [{ operation: updateProvider, place: { tenantId } }]
      : both(removeProvider, addProvider, from, to, () => ({ tenantId })),
  machines: ({ from, to }, tenantId) => [
    ...(from === undefined ? [] : [{ operation: revokeMachine, place: { tenantId } }]),
    ...(to === undefined ? [] : [givenTo(to, tenantId)]),
  ],
  roles: ({ to, from }, tenantId) => [askedOfRole(to, from, tenantId)],
  freezes: ({ to, from }, tenantId) => [
    { operation: to === undefined ? removeFreeze : addFreeze, place: frozenAt(to ?? from, tenantId) },
  ],
}

/** Everything that a change takes, by the operations that somebody would ask for. */
export function askedOf(change: Change, tenantId: string): readonly Asked[] {
  const asked = ASKED[change.section] as (change: Change, tenantId: string) => readonly Asked[]
  return asked(change, tenantId)
}

function both<Item>(
  remove: Asked['operation'],
  add: Asked['operation'],
  from: Item | undefined,
  to: Item | undefined,
  placeOf: (item: Item) => Place,
): Asked[] {
  return [
    ...(from === undefined ? [] : [{ operation: remove, place: placeOf(from) }]),
    ...(to === undefined ? [] : [{ operation: add, place: placeOf(to) }]),
  ]
}

function askedOfRestriction({ from, to }: SectionChange<'restrictions'>, tenantId: string): Asked[] {
  const place = ({ kind, environment, target }: Items['restrictions']['targets'][number]): Place =>
    kind === 'resource'
      ? resourceAt({ environment, resource: target ?? '' }, tenantId)
      : { tenantId, environment }
  const { added, gone } = targetChanges(from, to)
  return [
    ...gone.map((target) => ({ operation: detachRestriction, place: place(target) })),
    ...(to === undefined ? [{ operation: removeRestriction, place: { tenantId } }] : []),
    ...(to === undefined || isSameProfile(from, to)
      ? []
      : [{ operation: setRestriction, place: { tenantId } }]),
    ...added.map((target) => ({ operation: attachRestriction, place: place(target) })),
  ]
}

type Restriction = Items['restrictions']

/** What a restriction is attached to from now on, and no more. */
export function targetChanges(from: Restriction | undefined, to: Restriction | undefined) {
  const texts = (one: Restriction | undefined) =>
    new Set(one?.targets.map((target) => JSON.stringify(target)))
  const [before, after] = [texts(from), texts(to)]
  return {
    added: (to?.targets ?? []).filter((target) => !before.has(JSON.stringify(target))),
    gone: (from?.targets ?? []).filter((target) => !after.has(JSON.stringify(target))),
  }
}

/** Whether ranges and CA stay as they are. */
export function isSameProfile(from: Restriction | undefined, to: Restriction): boolean {
  return from !== undefined && from.ca === to.ca && from.ranges.join() === to.ranges.join()
}

function resourceAt(
  item: { readonly environment?: string | undefined; readonly resource: string } | undefined,
  tenantId: string,
): Place {
  if (item === undefined) return { tenantId }
  return { tenantId, environment: item.environment, site: parseResourceName(item.resource).site }
}

function frozenAt(item: Items['freezes'] | undefined, tenantId: string): Place {
  if (item === undefined || item.kind === 'tenant') return { tenantId }
  const { kind, environment, name = '' } = item
  if (kind === 'connector') return { tenantId, environment }
  return { tenantId, environment, site: kind === 'site' ? name : parseResourceName(name).site }
}

function givenTo({ role, environment, site, viaApi }: Items['machines'], tenantId: string): Asked {
  const assignment = { tenantId, role, environment, site, viaApi }
  return {
    operation: addMachine,
    place: { tenantId, environment, site },
    check: async ({ caller }) => {
      if (!mayGive(caller, assignment)) throw notYours(assignment)
    },
  }
}

function askedOfRole(
  to: Items['roles'] | undefined,
  from: Items['roles'] | undefined,
  tenantId: string,
): Asked {
  const person = (to ?? from)?.person ?? ''
  return {
    operation: to === undefined ? revokeRole : grantRole,
    place: { tenantId },
    check: async (context) => {
      await requirePerson(context, tenantId, person)
      if (to === undefined) return
      const { role, environment, site, viaApi } = to
      const assignment = { tenantId, role, environment, site, viaApi }
      if (!mayGive(context.caller, assignment)) throw notYours(assignment)
    },
  }
}

function notYours({ role }: Assignment): TunnelError {
  return new TunnelError('FORBIDDEN', `You could not do there what ${role} may do.`)
}
