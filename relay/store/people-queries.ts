import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { isRole } from '../access/rights.ts'
import type { Assignment } from '../operations/operation.ts'
import { change, type Database, nameConflict } from './change.ts'
import { PERSON_MAX, type PersonRecord, type PersonStore } from './people-store.ts'
import type { Tables } from './tables.ts'
import { isTenant } from './tenant-queries.ts'

/** Failed logins that lock an account, where the tenant says nothing else. */
export const LOCKOUT_AFTER = 10

/** What belongs to a person, children before the person. */
const PERSON_TABLES = [
  'role_assignments',
  'login_addresses',
  'person_links',
  'person_factors',
  'recovery_codes',
  'person_sessions',
  'person_keys',
] as const

/** The part of the store that is about people and what they may. */
export function personQueries(db: Database): PersonStore {
  return { ...personLookups(db), ...personChanges(db), ...roleChanges(db) }
}

type Lookups = 'findPerson' | 'listPeople' | 'listAssignments' | 'hasOwner' | 'lockoutAfter'

function personLookups(db: Database): Pick<PersonStore, Lookups> {
  return {
    findPerson: (tenantId, id) => findPerson(db, tenantId, id),

    listPeople: async (tenantId, after, limit) => {
      const rows = await db
        .selectFrom('people')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('login', '>', after)
        .orderBy('login')
        .limit(limit)
        .execute()
      return rows.map(personRecord)
    },

    listAssignments: (tenantId, personId) => listAssignments(db, tenantId, personId),

    hasOwner: (tenantId) => hasOwner(db, tenantId),

    lockoutAfter: (tenantId) => lockoutAfter(db, tenantId),
  }
}

function personChanges(db: Database): Pick<PersonStore, 'addPerson' | 'removePerson' | 'setLockoutAfter'> {
  return {
    addPerson: (tenantId, { id, login }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        await insertPerson(tx, tenantId, { id, login, createdAt: act.at, passwordHash: null })
        tell({ action: 'person.add', object: id, outcome: 'OK', detail: login })
      }),

    removePerson: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const person = await findPerson(tx, tenantId, id)
        if (person === undefined) return false
        const wasOwner = await hasOwner(tx, tenantId)
        await removeSecretsOf(tx, tenantId, id)
        for (const table of PERSON_TABLES) {
          await tx.deleteFrom(table).where('tenant_id', '=', tenantId).where('person_id', '=', id).execute()
        }
        await tx.deleteFrom('people').where('tenant_id', '=', tenantId).where('id', '=', id).execute()
        if (!(await hasOwner(tx, tenantId)) && wasOwner) throw lastOwner()
        tell({ action: 'person.remove', object: id, outcome: 'OK', detail: person.login })
        return true
      }),

    setLockoutAfter: (tenantId, failures, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        await requireTenantRow(tx, tenantId)
        await tx
          .insertInto('login_policies')
          .values({ tenant_id: tenantId, lockout_after: failures })
          .onConflict((conflict) => conflict.column('tenant_id').doUpdateSet({ lockout_after: failures }))
          .execute()
        tell({ action: 'lockout.set', object: `${failures}`, outcome: 'OK' })
      }),
  }
}

function roleChanges(db: Database): Pick<PersonStore, 'grantRole' | 'revokeRole'> {
  return {
    grantRole: (tenantId, personId, assignment, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if ((await findPerson(tx, tenantId, personId)) === undefined) throw new TunnelError('NOT_FOUND')
        const held = await listAssignments(tx, tenantId, personId)
        if (held.some((one) => isSame(one, assignment) && one.viaApi === (assignment.viaApi ?? false))) {
          return false
        }
        if (held.length >= PERSON_MAX.assignments) throw new TunnelError('OVERLOADED', 'Too many roles.')
        await insertAssignment(tx, tenantId, personId, assignment)
        await endSessionsOf(tx, tenantId, personId)
        tell({ action: 'role.grant', object: personId, outcome: 'OK', ...describe(assignment) })
        return true
      }),

    revokeRole: (tenantId, personId, assignment, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const result = await tx
          .deleteFrom('role_assignments')
          .where('tenant_id', '=', tenantId)
          .where('person_id', '=', personId)
          .where('role', '=', assignment.role)
          .where('environment', '=', assignment.environment ?? '')
          .where('site', '=', assignment.site ?? '')
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        if (assignment.role === 'owner' && !(await hasOwner(tx, tenantId))) throw lastOwner()
        await endSessionsOf(tx, tenantId, personId)
        tell({ action: 'role.revoke', object: personId, outcome: 'OK', ...describe(assignment) })
        return true
      }),
  }
}

/** A tenant that had an owner keeps one: so its setup never begins again. */
function lastOwner(): TunnelError {
  return new TunnelError('CONFLICT', 'It is the last owner of the tenant.', {
    next: 'make somebody else an owner first',
  })
}

function isSame(one: Assignment, other: Assignment): boolean {
  return one.role === other.role && one.environment === other.environment && one.site === other.site
}

function describe({ role, environment, site, viaApi }: Assignment) {
  const where = site === undefined ? '' : ` at ${site}`
  return { environment: environment ?? '', detail: `${role}${where}${viaApi === true ? ', by the API' : ''}` }
}

/** The row of a person. */
export async function findPerson(
  db: Database,
  tenantId: string,
  idOrLogin: string,
): Promise<PersonRecord | undefined> {
  const row = await db
    .selectFrom('people')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where((of) => of.or([of('id', '=', idOrLogin), of('login', '=', idOrLogin)]))
    .executeTakeFirst()
  return row === undefined ? undefined : personRecord(row)
}

/** A row of `people` as the store gives it out. */
export function personRecord(row: Selectable<Tables['people']>): PersonRecord {
  return {
    id: row.id,
    login: row.login,
    createdAt: row.created_at,
    passwordHash: row.password_hash ?? undefined,
    failures: row.failures,
    lockedAt: row.locked_at ?? undefined,
  }
}

export async function insertPerson(
  tx: Database,
  tenantId: string,
  person: {
    readonly id: string
    readonly login: string
    readonly createdAt: number
    readonly passwordHash: string | null
  },
): Promise<void> {
  const { id, login, createdAt, passwordHash } = person
  await tx
    .insertInto('people')
    .values({ tenant_id: tenantId, id, login, created_at: createdAt, password_hash: passwordHash })
    .execute()
    .catch(nameConflict(`There is a person ${login}.`))
}

export async function insertAssignment(
  tx: Database,
  tenantId: string,
  personId: string,
  { role, environment = '', site = '', viaApi = false }: Assignment,
): Promise<void> {
  const via_api = viaApi ? 1 : 0
  await tx
    .insertInto('role_assignments')
    .values({ tenant_id: tenantId, person_id: personId, role, environment, site, via_api })
    .onConflict((conflict) =>
      conflict.columns(['tenant_id', 'person_id', 'role', 'environment', 'site']).doUpdateSet({ via_api }),
    )
    .execute()
}

async function listAssignments(
  db: Database,
  tenantId: string,
  personId: string,
): Promise<readonly Assignment[]> {
  const rows = await db
    .selectFrom('role_assignments')
    .selectAll()
    .where('tenant_id', '=', tenantId)
    .where('person_id', '=', personId)
    .limit(PERSON_MAX.assignments)
    .execute()
  return rows.flatMap(({ role, environment, site, via_api }) => {
    // A role of a later version gives nothing here.
    if (!isRole(role)) return []
    return [
      {
        tenantId,
        role,
        environment: environment === '' ? undefined : environment,
        site: site === '' ? undefined : site,
        viaApi: via_api === 1,
      },
    ]
  })
}

export async function hasOwner(db: Database, tenantId: string): Promise<boolean> {
  const row = await db
    .selectFrom('role_assignments')
    .select('person_id')
    .where('tenant_id', '=', tenantId)
    .where('role', '=', 'owner')
    .where('environment', '=', '')
    .where('site', '=', '')
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

export async function lockoutAfter(db: Database, tenantId: string): Promise<number> {
  const row = await db
    .selectFrom('login_policies')
    .select('lockout_after')
    .where('tenant_id', '=', tenantId)
    .executeTakeFirst()
  return row?.lockout_after ?? LOCKOUT_AFTER
}

/** @throws {TunnelError} NOT_FOUND */
export async function requireTenantRow(tx: Database, tenantId: string): Promise<void> {
  if (!(await isTenant(tx, tenantId))) throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
}

/** Within the change that is the reason for it. */
export async function endSessionsOf(tx: Database, tenantId: string, personId: string): Promise<void> {
  await tx
    .deleteFrom('person_sessions')
    .where('tenant_id', '=', tenantId)
    .where('person_id', '=', personId)
    .execute()
}

async function removeSecretsOf(tx: Database, tenantId: string, personId: string): Promise<void> {
  const factors = await tx
    .selectFrom('person_factors')
    .select('id')
    .where('tenant_id', '=', tenantId)
    .where('person_id', '=', personId)
    .execute()
  for (const { id } of factors) {
    await tx
      .deleteFrom('secrets')
      .where('tenant_id', '=', tenantId)
      .where('name', '=', factorSecret(id))
      .execute()
  }
}

/** Under which name the secret of a factor is among the secrets of the tenant. */
export function factorSecret(id: string): string {
  return `factor/${id}`
}
