import type { Selectable } from 'kysely'
import { TunnelError } from '../../shared/errors.ts'
import { change, type Database, requireEnvironment, type Tell } from './change.ts'
import { confirmCertificate } from './confirm-certificate.ts'
import { type AgentRecord, type AgentStore, LIST_MAX, type NewAgent, type NewJoinToken } from './store.ts'
import type { Tables } from './tables.ts'

/** Tokens are kept this long after they expired, so that a late use can still be told from a made-up one. */
const TOKEN_KEPT_MS = 7 * 86_400_000

/** The part of the store that is about join tokens, and what they are spent for. */
export function tokenQueries(
  db: Database,
): Pick<AgentStore, 'createJoinToken' | 'isJoinTokenOpen' | 'enrollAgent'> {
  return {
    createJoinToken: (tenantId, token, act) =>
      change(db, tenantId, act, (tx, tell) =>
        insertToken(tx, tell, tenantId, { ...token, createdAt: act.at }),
      ),

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

    enrollAgent: (tenantId, tokenHash, agent, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        // The one place where a token is judged: condition and change are one statement, so of two requests at the
        // same time one finds no row.
        const spent = await tx
          .updateTable('join_tokens')
          .set({ used_at: agent.createdAt, agent_id: agent.id })
          .where('tenant_id', '=', tenantId)
          .where('hash', '=', tokenHash)
          .where('used_at', 'is', null)
          .where('expires_at', '>', agent.createdAt)
          .returning(['environment', 'site'])
          .execute()
        const [token] = spent
        if (token === undefined || spent.length !== 1) throw new TunnelError('JOIN_TOKEN')
        await insertAgent(tx, tenantId, token, agent)
        tell({
          action: 'agent.enroll',
          object: agent.id,
          environment: token.environment,
          outcome: 'OK',
          detail: `site ${token.site}, ${agent.fingerprint}`,
        })
        return token.site
      }),
  }
}

async function insertToken(
  tx: Database,
  tell: Tell,
  tenantId: string,
  token: NewJoinToken & { readonly createdAt: number },
): Promise<void> {
  const { environment, site } = token
  await requireEnvironment(tx, tenantId, environment)
  await tx
    .deleteFrom('join_tokens')
    .where('tenant_id', '=', tenantId)
    .where('expires_at', '<', token.createdAt - TOKEN_KEPT_MS)
    .execute()
  await tx
    .insertInto('sites')
    .values({ tenant_id: tenantId, environment, name: site, created_at: token.createdAt })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  await tx
    .insertInto('join_tokens')
    .values({
      tenant_id: tenantId,
      hash: token.tokenHash,
      environment,
      site,
      created_at: token.createdAt,
      expires_at: token.expiresAt,
      used_at: null,
      agent_id: null,
    })
    .execute()
  tell({ action: 'token.create', object: site, environment, outcome: 'OK' })
}

async function insertAgent(
  db: Database,
  tenantId: string,
  { environment, site }: Pick<AgentRecord, 'environment' | 'site'>,
  agent: NewAgent,
): Promise<void> {
  await db
    .insertInto('agents')
    .values({
      tenant_id: tenantId,
      id: agent.id,
      environment,
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

/** The part of the store that reads of agents that enrolled. */
export function agentQueries(
  db: Database,
): Pick<AgentStore, 'findAgent' | 'listAgents' | 'confirmAgentCertificate'> {
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

    listAgents: async (tenantId, { environment, site } = {}) => {
      const rows = await db
        .selectFrom('agents')
        .selectAll()
        .where('tenant_id', '=', tenantId)
        .$if(environment !== undefined, (query) => query.where('environment', '=', environment ?? ''))
        .$if(site !== undefined, (query) => query.where('site', '=', site ?? ''))
        .orderBy('environment')
        .orderBy('site')
        .orderBy('created_at')
        .limit(LIST_MAX)
        .execute()
      return rows.map(agentRecord)
    },

    confirmAgentCertificate: (...of) => confirmCertificate(db, 'agents', of),
  }
}

/** The part of the store that changes agents that enrolled. */
export function agentChanges(db: Database): Pick<AgentStore, 'renewAgent' | 'revokeAgent'> {
  return {
    renewAgent: (tenantId, id, presentedSerial, next, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const row = await tx
          .updateTable('agents')
          .set((column) => ({
            serial: next.serial,
            // What the agent proved to hold. Where that was the previous certificate, the current one was lost on its
            // way and is dropped here.
            previous_serial: presentedSerial,
            generation: column('generation', '+', 1),
            fingerprint: next.fingerprint,
            not_after: next.notAfter,
            renewed_at: act.at,
          }))
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .where((row) =>
            row.or([row('serial', '=', presentedSerial), row('previous_serial', '=', presentedSerial)]),
          )
          .returning(['generation', 'environment'])
          .executeTakeFirst()
        if (row === undefined) return undefined
        const { generation, environment } = row
        const detail = `generation ${generation}, ${next.fingerprint}`
        tell({ action: 'agent.renew', object: id, environment, outcome: 'OK', detail })
        return generation
      }),

    revokeAgent: (tenantId, id, act) =>
      change(db, tenantId, act, async (tx, tell) => {
        const revoked = await tx
          .updateTable('agents')
          .set({ revoked_at: act.at })
          .where('tenant_id', '=', tenantId)
          .where('id', '=', id)
          .where('revoked_at', 'is', null)
          .returning(['environment', 'site'])
          .executeTakeFirst()
        if (revoked === undefined) return false
        const { environment, site } = revoked
        tell({ action: 'agent.revoke', object: id, environment, outcome: 'OK', detail: `site ${site}` })
        return true
      }),
  }
}

function agentRecord(row: Selectable<Tables['agents']>): AgentRecord {
  return {
    id: row.id,
    environment: row.environment,
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
