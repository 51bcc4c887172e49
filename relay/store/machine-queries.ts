import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import type { Role } from '../access/rights.ts'
import type { Act } from '../audit/record.ts'
import type { Assignment } from '../operations/operation.ts'
import { change, type Database, nameConflict } from './change.ts'
import { LIST_MAX } from './store.ts'
import type { Tables } from './tables.ts'
import { isTenant } from './tenant-queries.ts'

/** A program that asks the API by itself. */
export interface MachineRecord {
  readonly id: string
  readonly name: string
  readonly assignment: Assignment
  /** SHA-256 of its secret, 32 bytes: 256 random bits need no slow hash. */
  readonly hash: Uint8Array
  readonly createdAt: number
  readonly revokedAt: number | undefined
}

export interface MachineStore {
  /** @throws {TunnelError} NOT_FOUND where there is no such tenant; CONFLICT where the name is taken */
  addMachine(
    tenantId: string,
    machine: Omit<MachineRecord, 'createdAt' | 'revokedAt'>,
    act: Act,
  ): Promise<void>
  findMachine(tenantId: string, id: string): Promise<MachineRecord | undefined>
  /** By name. At most 10,000. */
  listMachines(tenantId: string): Promise<readonly MachineRecord[]>
  /** @returns false where there is none, or it was revoked before */
  revokeMachine(tenantId: string, id: string, act: Act): Promise<boolean>
}

/** The part of the store that is about programs that ask the API. */
export function machineQueries(db: Database): MachineStore {
  return {
    addMachine: (tenantId, { id, name, assignment, hash }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if (!(await isTenant(tx, tenantId))) {
          throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
        }
        const { role, environment = null, site = null, viaApi = false } = assignment
        await tx
          .insertInto('machines')
          .values({
            ...{ tenant_id: tenantId, id, name, role, environment, site, hash },
            ...{ via_api: viaApi ? 1 : 0, created_at: act.at },
          })
          .execute()
          .catch(nameConflict(`There is a machine ${name}.`))
        const detail = `${name} as ${role}`
        tell({ action: 'machine.add', object: id, environment: environment ?? '', outcome: 'OK', detail })
      }),

    findMachine: async (tenantId, id) => {
      const row = await db
        .selectFrom('machines')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .executeTakeFirst()
      return row === undefined ? undefined : recordOf(row)
    },

    listMachines: async (tenantId) => {
      const rows = await db
        .selectFrom('machines')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .orderBy('name')
        .orderBy('created_at')
        .limit(LIST_MAX)
        .execute()
      return rows.map(recordOf)
    },

    revokeMachine: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const revoked = await tx
          .updateTable('machines')
          .set({ revoked_at: act.at })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .returning('name')
          .executeTakeFirst()
        if (revoked === undefined) return false
        tell({ action: 'machine.revoke', object: id, outcome: 'OK', detail: revoked.name })
        return true
      }),
  }
}

function recordOf(row: Selectable<Tables['machines']>): MachineRecord {
  const { id, name, role, hash } = row
  return {
    ...{ id, name, hash },
    assignment: {
      ...{ tenantId: row.tenant_id, role: role as Role, viaApi: row.via_api === 1 },
      environment: row.environment ?? undefined,
      site: row.site ?? undefined,
    },
    createdAt: row.created_at,
    revokedAt: row.revoked_at ?? undefined,
  }
}
