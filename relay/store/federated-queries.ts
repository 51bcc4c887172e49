import { TunnelError } from '../../shared/errors.ts'
import type { Act } from '../audit/record.ts'
import type { Assignment } from '../operations/operation.ts'
import { change, type Database, inTransaction, type Tell } from './change.ts'
import { endSessionsOf, insertAssignment, insertPerson } from './people-queries.ts'
import type { FederatedPerson, FederatedSignIn, SsoStore } from './sso-store.ts'
import { LIST_MAX } from './store.ts'

/** Sessions that are ended at a time: more than one person has. */
const SESSIONS_AT_ONCE = 1_000

type Federated =
  | 'signInFederated'
  | 'addFederatedSession'
  | 'listFederatedRoles'
  | 'findFederatedSession'
  | 'endFederatedSessions'

/** The part of the store that is about people and sessions that an identity provider vouches for. */
export function federatedQueries(db: Database): Pick<SsoStore, Federated> {
  return {
    signInFederated: (tenantId, signIn, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireProvider(tx, tenantId, signIn.provider)
        const person = await personOf(tx, tenantId, signIn, act, tell)
        if (!('personId' in person)) return person
        await replaceRoles(tx, tenantId, person.personId, signIn, tell)
        return person
      }),

    addFederatedSession: async (tenantId, { sessionId, personId, provider, subject, sid }) => {
      await inTransaction(db, async (tx) => {
        await forgetEnded(tx, tenantId, personId)
        await tx
          .insertInto('federated_sessions')
          .values({ tenant_id: tenantId, session_id: sessionId, person_id: personId, provider, subject, sid })
          .execute()
      })
    },

    listFederatedRoles: async (tenantId) => {
      const rows = await db
        .selectFrom('federated_people')
        .select(['person_id', 'assignments'])
        .where('tenant_id', '=', tenantId)
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ person_id: personId, assignments }) => ({
        personId,
        assignments: JSON.parse(assignments) as readonly Assignment[],
      }))
    },

    findFederatedSession: async (tenantId, sessionId) => {
      const row = await db
        .selectFrom('federated_sessions')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('session_id', '=', sessionId)
        .executeTakeFirst()
      if (row === undefined) return undefined
      const { person_id: personId, provider, subject, sid } = row
      return { sessionId, personId, provider, subject, sid }
    },

    endFederatedSessions: (tenantId, provider, named, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if (named.sid === undefined && named.subject === undefined) return 0
        const ended = await endSessionsNamed(tx, tenantId, provider, named)
        if (ended > 0)
          tell({ action: 'sso.logout', object: provider, outcome: 'OK', detail: `${ended} sessions ended` })
        return ended
      }),
  }
}

/** @throws {TunnelError} NOT_FOUND */
async function requireProvider(tx: Database, tenantId: string, name: string): Promise<void> {
  const row = await tx
    .selectFrom('identity_providers')
    .select('name')
    .where('tenant_id', '=', tenantId)
    .where('name', '=', name)
    .executeTakeFirst()
  if (row === undefined) throw new TunnelError('NOT_FOUND')
}

async function personOf(
  tx: Database,
  tenantId: string,
  signIn: FederatedSignIn,
  act: Act,
  tell: Tell,
): Promise<FederatedPerson> {
  const { provider, subject, login, newPersonId, mustBeInvited } = signIn
  const known = await tx
    .selectFrom('federated_people')
    .select('person_id')
    .where('tenant_id', '=', tenantId)
    .where('provider', '=', provider)
    .where('subject', '=', subject)
    .executeTakeFirst()
  if (known !== undefined) return { kind: 'known', personId: known.person_id }
  const namesake = await tx
    .selectFrom('people')
    .select(['id', 'password_hash'])
    .where('tenant_id', '=', tenantId)
    .where('login', '=', login)
    .executeTakeFirst()
  // Who has a password, or comes by another provider or name, is not taken over by whoever has the same login name here.
  if (namesake !== undefined) {
    if (namesake.password_hash !== null || (await isFederated(tx, tenantId, namesake.id)))
      return { kind: 'taken' }
    await link(tx, tenantId, signIn, namesake.id)
    return { kind: 'invited', personId: namesake.id }
  }
  if (mustBeInvited) return { kind: 'uninvited' }
  await insertPerson(tx, tenantId, { id: newPersonId, login, createdAt: act.at, passwordHash: null })
  tell({ action: 'person.add', object: newPersonId, outcome: 'OK', detail: login })
  await link(tx, tenantId, signIn, newPersonId)
  return { kind: 'new', personId: newPersonId }
}

async function isFederated(tx: Database, tenantId: string, personId: string): Promise<boolean> {
  const row = await tx
    .selectFrom('federated_people')
    .select('subject')
    .where('tenant_id', '=', tenantId)
    .where('person_id', '=', personId)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

async function link(
  tx: Database,
  tenantId: string,
  { provider, subject }: FederatedSignIn,
  personId: string,
): Promise<void> {
  await tx
    .insertInto('federated_people')
    .values({ tenant_id: tenantId, provider, subject, person_id: personId, assignments: '[]' })
    .execute()
}

/** A role that the provider no longer gives goes, one that somebody here has given stays. */
async function replaceRoles(
  tx: Database,
  tenantId: string,
  personId: string,
  { provider, subject, assignments, detail }: FederatedSignIn,
  tell: Tell,
): Promise<void> {
  const row = await tx
    .selectFrom('federated_people')
    .select('assignments')
    .where('tenant_id', '=', tenantId)
    .where('provider', '=', provider)
    .where('subject', '=', subject)
    .executeTakeFirstOrThrow()
  const text = JSON.stringify(assignments)
  if (row.assignments === text) return
  await removeAssignments(tx, tenantId, personId, row.assignments)
  for (const assignment of assignments) await insertAssignment(tx, tenantId, personId, assignment)
  await tx
    .updateTable('federated_people')
    .set({ assignments: text })
    .where('tenant_id', '=', tenantId)
    .where('provider', '=', provider)
    .where('subject', '=', subject)
    .execute()
  await endSessionsOf(tx, tenantId, personId)
  tell({ action: 'sso.roles', object: personId, outcome: 'OK', detail })
}

async function removeAssignments(
  tx: Database,
  tenantId: string,
  personId: string,
  kept: string,
): Promise<void> {
  for (const { role, environment = '', site = '' } of JSON.parse(kept) as readonly Assignment[]) {
    await tx
      .deleteFrom('role_assignments')
      .where('tenant_id', '=', tenantId)
      .where('person_id', '=', personId)
      .where('role', '=', role)
      .where('environment', '=', environment)
      .where('site', '=', site)
      .execute()
  }
}

/** Takes back what a provider gave, and forgets whom it knows. The people stay, without a way in by it. */
export async function removeFederation(tx: Database, tenantId: string, provider: string): Promise<void> {
  const rows = await tx
    .selectFrom('federated_people')
    .select(['person_id', 'assignments'])
    .where('tenant_id', '=', tenantId)
    .where('provider', '=', provider)
    .execute()
  for (const { person_id, assignments } of rows) {
    await removeAssignments(tx, tenantId, person_id, assignments)
    await endSessionsOf(tx, tenantId, person_id)
  }
  await tx
    .deleteFrom('federated_sessions')
    .where('tenant_id', '=', tenantId)
    .where('provider', '=', provider)
    .execute()
  await tx
    .deleteFrom('federated_people')
    .where('tenant_id', '=', tenantId)
    .where('provider', '=', provider)
    .execute()
}

/** Within the change that is the reason for it. @returns how many of our sessions ended */
export async function endSessionsNamed(
  tx: Database,
  tenantId: string,
  provider: string,
  { subject, sid }: { readonly subject?: string | undefined; readonly sid?: string | undefined },
): Promise<number> {
  let ended = 0
  for (;;) {
    const rows = await tx
      .selectFrom('federated_sessions')
      .select('session_id')
      .where('tenant_id', '=', tenantId)
      .where('provider', '=', provider)
      .$if(subject !== undefined, (query) => query.where('subject', '=', subject ?? ''))
      .$if(sid !== undefined, (query) => query.where('sid', '=', sid ?? ''))
      .limit(SESSIONS_AT_ONCE)
      .execute()
    if (rows.length === 0) return ended
    const ids = rows.map(({ session_id }) => session_id)
    const result = await tx
      .deleteFrom('person_sessions')
      .where('tenant_id', '=', tenantId)
      .where('id', 'in', ids)
      .executeTakeFirst()
    ended += Number(result.numDeletedRows)
    await tx
      .deleteFrom('federated_sessions')
      .where('tenant_id', '=', tenantId)
      .where('session_id', 'in', ids)
      .execute()
  }
}

/** Drops what is left of sessions of the person that have ended by another way. */
async function forgetEnded(tx: Database, tenantId: string, personId: string): Promise<void> {
  await tx
    .deleteFrom('federated_sessions')
    .where('tenant_id', '=', tenantId)
    .where('person_id', '=', personId)
    .where('session_id', 'not in', (from) =>
      from
        .selectFrom('person_sessions')
        .select('id')
        .where('tenant_id', '=', tenantId)
        .where('person_id', '=', personId),
    )
    .execute()
}
