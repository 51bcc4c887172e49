import { formatResourceName } from '../../shared/identity/names.ts'
import { change, type Database, nameConflict, requireEnvironment } from './change.ts'
import { LIST_MAX, type PublicationStore } from './store.ts'

/** The part of the store that is about what the relay offers by itself. */
export function publicationQueries(db: Database): PublicationStore {
  return {
    publish: (tenantId, publication, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const { environment, kind, address, site, resource } = publication
        await requireEnvironment(tx, tenantId, environment)
        await tx
          .insertInto('publications')
          .values({ tenant_id: tenantId, kind, address, environment, site, resource })
          .execute()
          // Nothing of who has it: that may be another tenant.
          .catch(nameConflict(`${address} is taken.`))
        tell({
          action: 'publication.add',
          object: address,
          environment,
          outcome: 'OK',
          detail: `${kind} ${formatResourceName(publication)}`,
        })
      }),

    unpublish: (tenantId, kind, address, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const gone = await tx
          .deleteFrom('publications')
          .where('tenant_id', '=', tenantId)
          .where('kind', '=', kind)
          .where('address', '=', address)
          .returning(['environment', 'site', 'resource'])
          .executeTakeFirst()
        if (gone === undefined) return false
        tell({
          action: 'publication.remove',
          object: address,
          environment: gone.environment,
          outcome: 'OK',
          detail: `${kind} ${formatResourceName(gone)}`,
        })
        return true
      }),

    listPublications: async (tenantId, environment) => {
      const rows = await db
        .selectFrom('publications')
        .select(['environment', 'kind', 'address', 'site', 'resource'])
        .where('tenant_id', '=', tenantId)
        .$if(environment !== undefined, (query) => query.where('environment', '=', environment ?? ''))
        .orderBy('kind')
        .orderBy('address')
        .limit(LIST_MAX)
        .execute()
      // Plain objects: those of node:sqlite have no prototype.
      return rows.map((row) => ({ ...row }))
    },
  }
}
