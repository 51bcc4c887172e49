import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import type { Delivery } from '../audit/delivery/delivery.ts'
import type { Act } from '../audit/record.ts'
import { change, type Database, nameConflict } from './change.ts'
import { LIST_MAX } from './store.ts'
import type { Tables } from './tables.ts'
import { hasChain } from './tenant-queries.ts'

/** `tenantId` may be RELAY_CHAIN. */
export interface DeliveryStore {
  /** @throws {TunnelError} CONFLICT where the name is taken, NOT_FOUND where there is no such tenant */
  addDelivery(tenantId: string, delivery: Delivery, act: Act): Promise<void>
  /** @returns false where there is no such delivery */
  removeDelivery(tenantId: string, name: string, act: Act): Promise<boolean>
  findDelivery(tenantId: string, name: string): Promise<Delivery | undefined>
  /** By name. */
  listDeliveries(tenantId: string): Promise<readonly Delivery[]>
  /**
   * Notes how far a delivery has come. It is no act of anybody, and has no record: one would have to be delivered, too.
   * @returns false where there is no such delivery
   */
  moveDelivery(tenantId: string, name: string, position: number): Promise<boolean>
}

/** The part of the store that is about where audit records are sent. */
export function deliveryQueries(db: Database): DeliveryStore {
  return {
    addDelivery: (tenantId, { name, kind, target, ca = null, position, createdAt }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if (!(await hasChain(tx, tenantId)))
          throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
        await tx
          .insertInto('deliveries')
          .values({ tenant_id: tenantId, name, kind, target, ca, position, created_at: createdAt })
          .execute()
          .catch(nameConflict(`There is a delivery ${name}.`))
        tell({ action: 'delivery.add', object: name, outcome: 'OK', detail: kind })
      }),

    removeDelivery: (tenantId, name, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const result = await tx
          .deleteFrom('deliveries')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        tell({ action: 'delivery.remove', object: name, outcome: 'OK' })
        return true
      }),

    findDelivery: async (tenantId, name) => {
      const row = await db
        .selectFrom('deliveries')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('name', '=', name)
        .executeTakeFirst()
      return row === undefined ? undefined : deliveryOf(row)
    },

    listDeliveries: async (tenantId) => {
      const rows = await db
        .selectFrom('deliveries')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .orderBy('name')
        .limit(LIST_MAX)
        .execute()
      return rows.map(deliveryOf)
    },

    moveDelivery: async (tenantId, name, position) => {
      const result = await db
        .updateTable('deliveries')
        .set({ position })
        .where('tenant_id', '=', tenantId)
        .where('name', '=', name)
        .executeTakeFirst()
      return result.numUpdatedRows === 1n
    },
  }
}

function deliveryOf(row: Selectable<Tables['deliveries']>): Delivery {
  const { name, kind, target, ca, position, created_at } = row
  return { name, kind, target, ca: ca ?? undefined, position, createdAt: created_at }
}
