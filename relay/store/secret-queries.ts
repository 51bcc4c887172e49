import { sql } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import type { Act } from '../audit/record.ts'
import { change, type Database } from './change.ts'
import { LIST_MAX } from './store.ts'
import { type Cell, type TenantKey, type TenantVault, versionOf } from './vault/vault.ts'

/** Most bytes of one secret. */
const SECRET_MAX_BYTES = 65_536

/**
 * Every column that holds sealed cells, so that a new key reaches them all. A table with secrets of its own gets a line
 * here; `row` is the column that, with the tenant, is its key.
 */
const SECRET_COLUMNS = [
  { table: 'secrets', column: 'sealed', row: 'name' },
  { table: 'replies', column: 'sealed', row: 'id' },
] as const satisfies readonly {
  table: string
  column: string
  row: string
}[]

/** Secrets of a tenant under a name each, such as `oidc/corp` or `totp/USER`. */
export interface SecretStore {
  /**
   * Seals and keeps a secret, in the place of the one before.
   * @param value 64 KiB at most; belongs to the caller
   * @throws {TunnelError} CONFIG where it is longer, NOT_FOUND where there is no such tenant
   */
  putSecret(tenantId: string, name: string, value: Uint8Array, act: Act): Promise<void>
  /** @throws {TunnelError} STORE where it was changed, or its key is gone */
  getSecret(tenantId: string, name: string): Promise<Secret<Buffer> | undefined>
  /** Names in order. */
  listSecrets(tenantId: string): Promise<readonly string[]>
  /** @returns false where there is no such secret */
  removeSecret(tenantId: string, name: string, act: Act): Promise<boolean>
  /**
   * Makes a new key for a tenant that has one, seals everything under it and forgets the old ones.
   * @returns how many cells were sealed anew
   */
  rekey(tenantId: string, act: Act): Promise<number>
  /** Wraps the keys of the tenant with the wrapper in use. Nothing of the tenant changes. */
  rewrapKeys(tenantId: string): Promise<void>
}

/** The part of the store that is about secrets. */
export function secretQueries(db: Database, vault: TenantVault): SecretStore {
  return {
    ...secretChanges(db, vault),

    getSecret: async (tenantId, name) => {
      const row = await db
        .selectFrom('secrets')
        .select('sealed')
        .where('tenant_id', '=', tenantId)
        .where('name', '=', name)
        .executeTakeFirst()
      return row === undefined
        ? undefined
        : new Secret(vault.unseal(await vault.keysOf(tenantId), cellOf(tenantId, name), row.sealed))
    },

    listSecrets: async (tenantId) => {
      const rows = await db
        .selectFrom('secrets')
        .select('name')
        .where('tenant_id', '=', tenantId)
        .orderBy('name')
        .limit(LIST_MAX)
        .execute()
      return rows.map(({ name }) => name)
    },

    rewrapKeys: (tenantId) => vault.rewrap(tenantId),
  }
}

function secretChanges(
  db: Database,
  vault: TenantVault,
): Pick<SecretStore, 'putSecret' | 'removeSecret' | 'rekey'> {
  return {
    putSecret: async (tenantId, name, value, act) => {
      if (value.length > SECRET_MAX_BYTES) {
        throw new TunnelError('CONFIG', `A secret has at most ${SECRET_MAX_BYTES} bytes.`)
      }
      // The key is opened before the transaction, so it may be replaced until the transaction begins.
      for (let isKept = false; !isKept; ) {
        const key = await keyOfTenant(db, vault, tenantId)
        isKept = await change(db, tenantId, act, async (tx, tell) => {
          if ((await newestVersion(tx, tenantId)) !== key.version) {
            vault.forget(tenantId)
            return false
          }
          const sealed = vault.seal(key, cellOf(tenantId, name), value)
          await tx
            .insertInto('secrets')
            .values({ tenant_id: tenantId, name, sealed, changed_at: act.at })
            .onConflict((conflict) =>
              conflict.columns(['tenant_id', 'name']).doUpdateSet({ sealed, changed_at: act.at }),
            )
            .execute()
          tell({ action: 'secret.set', object: name, outcome: 'OK' })
          return true
        })
      }
    },

    removeSecret: (tenantId, name, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const result = await tx
          .deleteFrom('secrets')
          .where('tenant_id', '=', tenantId)
          .where('name', '=', name)
          .executeTakeFirst()
        if (result.numDeletedRows === 0n) return false
        tell({ action: 'secret.remove', object: name, outcome: 'OK' })
        return true
      }),

    rekey: async (tenantId, act) => {
      const [old] = await vault.keysOf(tenantId)
      if (old === undefined) return 0
      await vault.addKey(tenantId, old.version + 1)
      const keys = await vault.keysOf(tenantId)
      const [key = old] = keys
      const cells = await change(db, tenantId, act, async (tx, tell) => {
        let count = 0
        for (const column of SECRET_COLUMNS)
          count += await resealColumn(tx, vault, { tenantId, keys }, column)
        await tx
          .deleteFrom('tenant_keys')
          .where('tenant_id', '=', tenantId)
          .where('version', '<', key.version)
          .execute()
        const detail = `${count} secrets sealed anew`
        tell({ action: 'key.rotate', object: `${key.version}`, outcome: 'OK', detail })
        return count
      })
      vault.forget(tenantId)
      return cells
    },
  }
}

function cellOf(tenantId: string, name: string): Cell {
  return { tenantId, table: 'secrets', column: 'sealed', row: name }
}

/** The newest key of a tenant, made where there is none. @throws {TunnelError} NOT_FOUND */
export async function keyOfTenant(db: Database, vault: TenantVault, tenantId: string): Promise<TenantKey> {
  const tenant = await db.selectFrom('tenants').select('id').where('id', '=', tenantId).executeTakeFirst()
  if (tenant === undefined) throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
  return vault.current(tenantId)
}

/** The number of a tenant's key, as the transaction sees it; undefined where it has none. */
export async function newestVersion(tx: Database, tenantId: string): Promise<number | undefined> {
  const row = await tx
    .selectFrom('tenant_keys')
    .select('version')
    .where('tenant_id', '=', tenantId)
    .orderBy('version', 'desc')
    .limit(1)
    .executeTakeFirst()
  return row?.version
}

/** All cells of a column at once: a tenant has hundreds of secrets, each takes some ten microseconds. */
async function resealColumn(
  tx: Database,
  vault: TenantVault,
  { tenantId, keys }: { readonly tenantId: string; readonly keys: readonly TenantKey[] },
  { table, column, row }: (typeof SECRET_COLUMNS)[number],
): Promise<number> {
  const [newest] = keys
  const [from, sealed, name] = [sql.table(table), sql.ref(column), sql.ref(row)]
  const { rows } = await sql<{ row: string; sealed: Uint8Array }>`
    select ${name} as row, ${sealed} as sealed from ${from} where "tenant_id" = ${tenantId}
  `.execute(tx)
  for (const one of rows) {
    if (newest === undefined || versionOf(one.sealed) === newest.version) continue
    const cell = { tenantId, table, column, row: one.row }
    const again = vault.seal(newest, cell, vault.unseal(keys, cell, one.sealed))
    await sql`
      update ${from} set ${sealed} = ${again} where "tenant_id" = ${tenantId} and ${name} = ${one.row}
    `.execute(tx)
  }
  return rows.length
}
