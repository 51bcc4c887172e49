import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import {
  type KnownReply,
  REPLIES_PER_CALLER,
  REPLY_LIFE_MS,
  type ReplyKey,
  type ReplyStore,
} from '../api/replies.ts'
import { type Database, inTransaction } from './change.ts'
import { keyOfTenant, newestVersion } from './secret-queries.ts'
import type { Cell, TenantVault } from './vault/vault.ts'

/** Stands for an answer that is not there yet; no answer is empty. */
const NONE = Buffer.alloc(0)

/** The part of the store that is about answers that are kept. */
export function replyQueries(db: Database, vault: TenantVault): ReplyStore {
  return {
    beginReply: async (tenantId, key, now) => {
      const found = await findReply(db, tenantId, key.id)
      if (found !== undefined && found.created_at > now - REPLY_LIFE_MS) {
        return known(vault, tenantId, key, found)
      }
      await forgetOld(db, tenantId, key.caller, now)
      return sealing(db, vault, tenantId, async (tx, seal) => {
        const row = { tenant_id: tenantId, id: key.id, caller: key.caller, created_at: now }
        const added = await tx
          .insertInto('replies')
          .values({ ...row, request_hash: key.requestHash, sealed: seal(key.id, NONE) })
          .onConflict((conflict) => conflict.doNothing())
          .executeTakeFirst()
        return added.numInsertedOrUpdatedRows === 1n ? { kind: 'new' } : { kind: 'begun', at: now }
      })
    },

    keepReply: (tenantId, id, body) =>
      sealing(db, vault, tenantId, async (tx, seal) => {
        await tx
          .updateTable('replies')
          .set({ sealed: seal(id, Buffer.from(body)) })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .execute()
      }),

    dropReply: async (tenantId, id) => {
      await db.deleteFrom('replies').where('tenant_id', '=', tenantId).where('id', '=', id).execute()
    },
  }
}

interface ReplyRow {
  readonly request_hash: Uint8Array
  readonly created_at: number
  readonly sealed: Uint8Array
}

function findReply(db: Database, tenantId: string, id: string): Promise<ReplyRow | undefined> {
  return db
    .selectFrom('replies')
    .select(['request_hash', 'created_at', 'sealed'])
    .where('tenant_id', '=', tenantId)
    .where('id', '=', id)
    .executeTakeFirst()
}

async function known(
  vault: TenantVault,
  tenantId: string,
  key: ReplyKey,
  row: ReplyRow,
): Promise<KnownReply> {
  if (!Buffer.from(row.request_hash).equals(key.requestHash)) return { kind: 'other request' }
  const body = vault.unseal(await vault.keysOf(tenantId), cellOf(tenantId, key.id), row.sealed)
  if (body.length === 0) return { kind: 'begun', at: row.created_at }
  return { kind: 'done', body: new Secret(body.toString()) }
}

/** @throws {TunnelError} ENHANCE_CALM */
async function forgetOld(db: Database, tenantId: string, caller: string, now: number): Promise<void> {
  await db
    .deleteFrom('replies')
    .where('tenant_id', '=', tenantId)
    .where('created_at', '<=', now - REPLY_LIFE_MS)
    .execute()
  const { count } = await db
    .selectFrom('replies')
    .select((of) => of.fn.countAll<number>().as('count'))
    .where('tenant_id', '=', tenantId)
    .where('caller', '=', caller)
    .executeTakeFirstOrThrow()
  if (Number(count) < REPLIES_PER_CALLER) return
  throw new TunnelError('ENHANCE_CALM', `A caller may have ${REPLIES_PER_CALLER} idempotency keys in a day.`)
}

type Seal = (id: string, plaintext: Uint8Array) => Uint8Array

/** Runs `work` in a transaction with the newest key of the tenant; again where that was replaced just before. */
async function sealing<T>(
  db: Database,
  vault: TenantVault,
  tenantId: string,
  work: (tx: Database, seal: Seal) => Promise<T>,
): Promise<T> {
  for (;;) {
    const key = await keyOfTenant(db, vault, tenantId)
    const done = await inTransaction(db, async (tx) => {
      if ((await newestVersion(tx, tenantId)) !== key.version) return undefined
      return { result: await work(tx, (id, plaintext) => vault.seal(key, cellOf(tenantId, id), plaintext)) }
    })
    if (done !== undefined) return done.result
    vault.forget(tenantId)
  }
}

function cellOf(tenantId: string, id: string): Cell {
  return { tenantId, table: 'replies', column: 'sealed', row: id }
}
