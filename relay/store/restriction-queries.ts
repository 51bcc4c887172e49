import { TunnelError } from '../../shared/errors.ts'
import { change, type Database } from './change.ts'
import type { RestrictionStore, RestrictionTarget } from './restriction-store.ts'
import { LIST_MAX } from './store.ts'
import { isTenant } from './tenant-queries.ts'

/** The part of the store that is about from where things may be reached. */
export function restrictionQueries(db: Database): RestrictionStore {
  return { ...profileQueries(db), ...attachmentQueries(db) }
}

function profileQueries(
  db: Database,
): Pick<RestrictionStore, 'putRestriction' | 'removeRestriction' | 'listRestrictions'> {
  return {
    putRestriction: (tenantId, { name, ranges, ca = null }, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        if (!(await isTenant(tx, tenantId))) {
          throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
        }
        const values = { ranges: JSON.stringify(ranges), ca }
        await tx
          .insertInto('restrictions')
          .values({ tenant_id: tenantId, name, ...values, created_at: act.at })
          .onConflict((conflict) => conflict.columns(['tenant_id', 'name']).doUpdateSet(values))
          .execute()
        const detail = `${ranges.length} ranges${ca === null ? '' : ' and a CA'}: ${ranges.join(' ')}`
        tell({ action: 'restriction.set', object: name, outcome: 'OK', detail })
      }),

    removeRestriction: (tenantId, name, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const use = await tx
          .selectFrom('restriction_uses')
          .select('target')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .limit(1)
          .executeTakeFirst()
        if (use !== undefined) {
          throw new TunnelError('CONFLICT', `${name} is attached to something.`, {
            next: `sallyport relay restriction list; sallyport relay restriction detach ${name} KIND NAME`,
          })
        }
        const result = await tx
          .deleteFrom('restrictions')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .executeTakeFirst()
        const isRemoved = result.numDeletedRows === 1n
        if (isRemoved) tell({ action: 'restriction.remove', object: name, outcome: 'OK' })
        return isRemoved
      }),

    listRestrictions: (tenantId) => listAll(db, tenantId),
  }
}

async function listAll(db: Database, tenantId: string): ReturnType<RestrictionStore['listRestrictions']> {
  const rows = await db
    .selectFrom('restrictions')
    .select(['name', 'ranges', 'ca'])
    .where('tenant_id', '=', tenantId)
    .orderBy('name')
    .limit(LIST_MAX)
    .execute()
  if (rows.length === 0) return []
  const uses = await db
    .selectFrom('restriction_uses')
    .select(['name', 'kind', 'environment', 'target'])
    .where('tenant_id', '=', tenantId)
    .orderBy('name')
    .orderBy('kind')
    .orderBy('environment')
    .orderBy('target')
    .limit(LIST_MAX)
    .execute()
  const byName = Map.groupBy(uses, ({ name }) => name)
  return rows.map(({ name, ranges, ca }) => ({
    name,
    ranges: JSON.parse(ranges) as string[],
    ...(ca === null ? {} : { ca }),
    targets: (byName.get(name) ?? []).map(({ kind, environment, target }) => ({
      kind,
      environment,
      target,
    })),
  }))
}

function attachmentQueries(db: Database): Pick<RestrictionStore, 'attachRestriction' | 'detachRestriction'> {
  return {
    attachRestriction: (tenantId, name, target, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const found = await tx
          .selectFrom('restrictions')
          .select('name')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .executeTakeFirst()
        if (found === undefined) throw new TunnelError('NOT_FOUND', `There is no restriction ${name}.`)
        await tx
          .insertInto('restriction_uses')
          .values({ tenant_id: tenantId, name, ...target })
          .onConflict((conflict) => conflict.doNothing())
          .execute()
        const { environment } = target
        const detail = textOf(target)
        tell({ action: 'restriction.attach', object: name, environment, outcome: 'OK', detail })
      }),

    detachRestriction: (tenantId, name, target, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { kind, environment } = target
        const result = await tx
          .deleteFrom('restriction_uses')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .where('kind', '=', kind)
          .where('environment', '=', environment)
          .where('target', '=', target.target)
          .executeTakeFirst()
        const isRemoved = result.numDeletedRows === 1n
        const detail = textOf(target)
        if (isRemoved)
          tell({ action: 'restriction.detach', object: name, environment, outcome: 'OK', detail })
        return isRemoved
      }),
  }
}

function textOf({ kind, target }: RestrictionTarget): string {
  return `${kind} ${target}`.trim()
}
