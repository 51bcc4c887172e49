import * as v from 'valibot'
import { ERRORS, type ErrorCode } from '../../shared/errors.ts'
import { AUDIT_ACTIONS, type AuditAction } from '../audit/actions.ts'
import { checkpointOf, checkpointSchema, newestCheckpoint } from '../audit/checkpoint.ts'
import { checkpointJson, recordJson } from '../audit/format.ts'
import { AUDIT_ACTOR_KINDS, RELAY_CHAIN } from '../audit/record.ts'
import { AUDIT_PAGE_MAX, type AuditFilter } from '../audit/store.ts'
import { verifyChain } from '../audit/verify.ts'
import type { Relay } from '../relay.ts'
import { ms, placeOf, requireTenant, tenantField, text, viewFields } from './input.ts'
import { operation, type Place } from './operation.ts'

const AUDIT_PATH = '/tenants/{tenant}/audit'

/** What a search may name; everything must match. */
export const auditFilterFields = {
  ...viewFields,
  from: v.optional(ms),
  until: v.optional(ms),
  actorKind: v.optional(v.picklist(AUDIT_ACTOR_KINDS)),
  actorId: v.optional(text),
  action: v.optional(v.picklist(Object.keys(AUDIT_ACTIONS) as AuditAction[])),
  object: v.optional(text),
  outcome: v.optional(v.picklist(Object.keys(ERRORS) as ErrorCode[])),
  trace: v.optional(text),
}

/** A record as the API gives it. */
export const auditRecordOutput = v.object({
  tenant: v.string(),
  seq: v.number(),
  time: v.string(),
  environment: v.string(),
  actor: v.object({ kind: v.string(), id: v.string() }),
  source: v.string(),
  action: v.string(),
  object: v.string(),
  outcome: v.string(),
  trace: v.string(),
  detail: v.string(),
  hash: v.string(),
})

/** The chain of the relay itself belongs to the relay as a whole. */
export function auditPlace(input: {
  readonly tenant: string
  readonly environment?: string | undefined
}): Place | undefined {
  return input.tenant === RELAY_CHAIN ? undefined : placeOf(input)
}

/** @throws {TunnelError} NOT_FOUND */
export async function requireChain(relay: Relay, tenant: string): Promise<void> {
  if (tenant !== RELAY_CHAIN) await requireTenant(relay, tenant)
}

/** The filter that the members of an input make. */
export function auditFilterOf({
  trace,
  ...rest
}: Omit<AuditFilter, 'traceId'> & { readonly trace?: string | undefined }): AuditFilter {
  const { from, until, environment, actorKind, actorId, action, object, outcome } = rest
  return { from, until, environment, actorKind, actorId, action, object, outcome, traceId: trace }
}

/** The cursor that goes on behind the record of a number: what {@link listAudit} gives as `next`. */
export function auditCursor(seq: number): string {
  return `r${seq}`
}

/** What {@link auditCursor} makes; opaque for whoever gets it. */
const cursor = v.pipe(
  v.string(),
  v.regex(/^r\d{1,15}$/),
  v.transform((given) => Number(given.slice(1))),
)

export const listAudit = operation({
  name: 'audit.list',
  summary: 'show records of an audit chain',
  http: { method: 'GET', path: AUDIT_PATH },
  right: 'audit:read',
  input: v.strictObject({
    ...auditFilterFields,
    order: v.optional(v.picklist(['newest', 'oldest']), 'newest'),
    limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(AUDIT_PAGE_MAX)), 100),
    cursor: v.optional(cursor),
  }),
  output: v.object({ items: v.array(auditRecordOutput), next: v.optional(v.string()) }),
  place: auditPlace,
  async run({ relay }, { tenant, order, limit, cursor: from, ...filter }) {
    await requireChain(relay, tenant)
    const page = await relay.authority.store.readAudit(tenant, {
      ...{ order, limit, cursor: from },
      filter: auditFilterOf(filter),
    })
    const next = page.next === undefined ? {} : { next: auditCursor(page.next) }
    return { items: page.records.map(recordJson), ...next }
  },
})

export const verifyAudit = operation({
  name: 'audit.verify',
  summary: 'read an audit chain and say whether every record is what was written',
  http: { method: 'POST', path: `${AUDIT_PATH}/verify` },
  right: 'audit:read',
  input: v.strictObject({ ...tenantField, checkpoint: v.optional(checkpointSchema) }),
  output: v.object({
    tenant: v.string(),
    records: v.number(),
    vouchedTo: v.number(),
    holds: v.boolean(),
    fault: v.optional(v.object({ seq: v.number(), kind: v.string(), text: v.string() })),
  }),
  place: auditPlace,
  async run({ relay, signal }, { tenant, checkpoint }) {
    await requireChain(relay, tenant)
    const { store, authority } = relay.authority
    const { records, vouchedTo, fault } = await verifyChain({
      ...{ store, tenantId: tenant, certificate: authority.certificate, signal },
      witnessed: checkpoint === undefined ? [] : [checkpointOf(checkpoint)],
    })
    return { tenant, records, vouchedTo, holds: fault === undefined, ...(fault && { fault }) }
  },
})

export const showCheckpoint = operation({
  name: 'audit.checkpoint',
  summary: 'show the newest signed end of an audit chain, to be kept elsewhere',
  http: { method: 'GET', path: `${AUDIT_PATH}/checkpoint` },
  right: 'audit:read',
  input: v.strictObject(tenantField),
  output: v.object({
    tenant: v.string(),
    seq: v.number(),
    time: v.string(),
    hash: v.string(),
    signature: v.string(),
  }),
  place: auditPlace,
  async run({ relay }, { tenant }) {
    await requireChain(relay, tenant)
    return checkpointJson(await newestCheckpoint(relay.authority.store, tenant))
  },
})
