import type { Kysely, Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import type { Tables } from './schema.ts'
import type { AgentRecord, NewAgent, Store } from './store.ts'

/** Longest list in one answer. */
export const LIST_MAX = 10_000

/** Tokens are kept this long after they expired, so that a late use can still be told from a made-up one. */
const TOKEN_KEPT_MS = 7 * 86_400_000

type Database = Kysely<Tables>

/** The part of the store that is about join tokens, and what they are spent for. */
export function tokenQueries(
  db: Database,
): Pick<Store, 'createJoinToken' | 'isJoinTokenOpen' | 'enrollAgent'> {
  return {
    createJoinToken: (tenantId, token) =>
      db.transaction().execute(async (tx) => {
        await tx
          .deleteFrom('join_tokens')
          .where('tenant_id', '=', tenantId)
          .where('expires_at', '<', token.createdAt - TOKEN_KEPT_MS)
          .execute()
        await tx
          .insertInto('sites')
          .values({ tenant_id: tenantId, name: token.site, created_at: token.createdAt })
          .onConflict((conflict) => conflict.doNothing())
          .execute()
        await tx
          .insertInto('join_tokens')
          .values({
            tenant_id: tenantId,
            hash: token.tokenHash,
            site: token.site,
            created_at: token.createdAt,
            expires_at: token.expiresAt,
            used_at: null,
            agent_id: null,
          })
          .execute()
      }),

    isJoinTokenOpen: async (tenantId, tokenHash, now) => {
      const row = await db
        .selectFrom('join_tokens')
        .select('expires_at')
        .where('tenant_id', '=', tenantId)
        .where('hash', '=', tokenHash)
        .where('used_at', 'is', null)
        .where('expires_at', '>', now)
        .executeTakeFirst()
      return row !== undefined
    },

    enrollAgent: (tenantId, tokenHash, agent) =>
      db.transaction().execute(async (tx) => {
        // The one place where a token is judged: condition and change are one statement, so of two requests at the
        // same time one finds no row.
        const spent = await tx
          .updateTable('join_tokens')
          .set({ used_at: agent.createdAt, agent_id: agent.id })
          .where('tenant_id', '=', tenantId)
          .where('hash', '=', tokenHash)
          .where('used_at', 'is', null)
          .where('expires_at', '>', agent.createdAt)
          .returning('site')
          .execute()
        const [token] = spent
        if (token === undefined || spent.length !== 1) throw new TunnelError('JOIN_TOKEN')
        await insertAgent(tx, tenantId, token.site, agent)
        return token.site
      }),
  }
}

async function insertAgent(db: Database, tenantId: string, site: string, agent: NewAgent): Promise<void> {
  await db
    .insertInto('agents')
    .values({
      tenant_id: tenantId,
      id: agent.id,
      site,
      serial: agent.serial,
      previous_serial: null,
      fingerprint: agent.fingerprint,
      not_after: agent.notAfter,
      version: agent.version,
      instance: agent.instance,
      source_address: agent.sourceAddress,
      created_at: agent.createdAt,
      renewed_at: agent.createdAt,
      revoked_at: null,
    })
    .execute()
}

/** The part of the store that is about agents that enrolled. */
export function agentQueries(
  db: Database,
): Pick<Store, 'findAgent' | 'listAgents' | 'confirmAgentCertificate' | 'renewAgent' | 'revokeAgent'> {
  return {
    findAgent: async (tenantId, id) => {
      const row = await db
        .selectFrom('agents')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .executeTakeFirst()
      return row === undefined ? undefined : agentRecord(row)
    },

    listAgents: async (tenantId, site) => {
      const rows = await db
        .selectFrom('agents')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .$if(site !== undefined, (query) => query.where('site', '=', site ?? ''))
        .orderBy('site')
        .orderBy('created_at')
        .limit(LIST_MAX)
        .execute()
      return rows.map(agentRecord)
    },

    confirmAgentCertificate: async (tenantId, id, serial) => {
      const result = await db
        .updateTable('agents')
        .set({ previous_serial: null })
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .where('serial', '=', serial)
        .executeTakeFirst()
      return result.numUpdatedRows === 1n
    },

    renewAgent: async (tenantId, id, presentedSerial, next) => {
      const row = await db
        .updateTable('agents')
        .set((column) => ({
          serial: next.serial,
          // What the agent proved to hold. Where that was the previous certificate, the current one was lost on its
          // way and is dropped here.
          previous_serial: presentedSerial,
          generation: column('generation', '+', 1),
          fingerprint: next.fingerprint,
          not_after: next.notAfter,
          renewed_at: next.renewedAt,
        }))
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .where((row) =>
          row.or([row('serial', '=', presentedSerial), row('previous_serial', '=', presentedSerial)]),
        )
        .returning('generation')
        .executeTakeFirst()
      return row?.generation
    },

    revokeAgent: async (tenantId, id, revokedAt) => {
      const result = await db
        .updateTable('agents')
        .set({ revoked_at: revokedAt })
        .where('tenant_id', '=', tenantId)
        .where('id', '=', id)
        .where('revoked_at', 'is', null)
        .executeTakeFirst()
      return result.numUpdatedRows === 1n
    },
  }
}

function agentRecord(row: Selectable<Tables['agents']>): AgentRecord {
  return {
    id: row.id,
    site: row.site,
    serial: row.serial,
    previousSerial: row.previous_serial ?? undefined,
    generation: row.generation,
    fingerprint: row.fingerprint,
    notAfter: row.not_after,
    version: row.version,
    instance: row.instance,
    sourceAddress: row.source_address,
    createdAt: row.created_at,
    renewedAt: row.renewed_at,
    revokedAt: row.revoked_at ?? undefined,
  }
}
