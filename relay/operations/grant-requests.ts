import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { formatResourceName, parseResourceName } from '../../shared/identity/names.ts'
import { formatId } from '../../shared/identity/subject.ts'
import type { Act } from '../audit/record.ts'
import type { GrantRequest } from '../store/access-store.ts'
import { requireConnector, resourcePlace } from './grants.ts'
import { ms, placeFields, placeOf, text } from './input.ts'
import { type OperationContext, operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

/** How long access may be asked for, in ms: 1 minute to 30 days. */
export const REQUEST_DURATION = { min: 60_000, max: 30 * 86_400_000 } as const

/** How long a request waits for somebody to decide, in ms. */
const DECISION_MS = 86_400_000

/** Requests of one person or machine that wait at a time. */
const MAX_OPEN = 20

const PATH = '/tenants/{tenant}/environments/{environment}/grant-requests'

export const requestGrant = operation({
  name: 'grant.request',
  summary: 'ask for a resource for a while; somebody else approves or refuses',
  http: { method: 'POST', path: PATH },
  right: 'grants:request',
  input: v.strictObject({
    ...placeFields,
    connector: text,
    resource: text,
    reason: v.pipe(text, v.trim(), v.minLength(1)),
    durationMs: v.pipe(
      v.number(),
      v.integer(),
      v.minValue(REQUEST_DURATION.min),
      v.maxValue(REQUEST_DURATION.max),
    ),
  }),
  output: v.object({ request: v.string(), expiresAt: ms }),
  place: resourcePlace,
  async run({ relay, act }, { tenant, environment, reason, durationMs, ...input }) {
    const { store, effects } = relay.authority
    const { id: connectorId } = await requireConnector(relay, { tenant, environment, ...input })
    const all = await store.listGrantRequests(tenant, environment)
    const waiting = all.filter((one) => isWaiting(one, act.at) && isBy(one, act))
    if (waiting.length >= MAX_OPEN) throw new TunnelError('ENHANCE_CALM', 'Too many requests of yours wait.')
    const id = formatId(effects.randomBytes(16))
    const expiresAt = act.at + DECISION_MS
    const name = parseResourceName(input.resource)
    await store.addGrantRequest(tenant, { id, connectorId, ...name, reason, durationMs, expiresAt }, act)
    return { request: id, expiresAt }
  },
})

const requestRow = v.object({
  request: v.string(),
  connector: v.string(),
  resource: v.string(),
  reason: v.string(),
  durationMs: ms,
  requester: v.string(),
  createdAt: ms,
  /** `open`, `approved`, `refused`, `withdrawn`, or `over`. */
  state: v.string(),
  decider: v.optional(v.string()),
  /** Until when it waits, or holds. */
  expiresAt: ms,
})

export const listGrantRequests = operation({
  name: 'grant.requests',
  summary: 'show who asked for access, and what became of it, the newest first',
  http: { method: 'GET', path: PATH },
  right: 'grants:read',
  input: v.strictObject({ ...placeFields, ...pageFields }),
  output: pageOutput(requestRow),
  place: placeOf,
  async run({ relay, act }, { tenant, environment, ...page }) {
    const all = await relay.authority.store.listGrantRequests(tenant, environment)
    const { items, ...rest } = pageOf(all, newestFirst, page)
    return { items: items.map((one) => rowOf(one, act.at)), ...rest }
  },
})

const decision = v.strictObject({ ...placeFields, request: text, site: v.optional(text) })

export const approveGrantRequest = operation({
  name: 'grant.approve',
  summary: "approve somebody else's request for access; it ends by itself",
  http: { method: 'POST', path: `${PATH}/{request}/approve` },
  right: 'grants:approve',
  isDangerous: true,
  input: decision,
  output: v.object({ expiresAt: ms }),
  place: placeOf,
  async run(context, input) {
    const { durationMs } = await decide(context, input, true)
    return { expiresAt: context.act.at + durationMs }
  },
})

export const refuseGrantRequest = operation({
  name: 'grant.refuse',
  summary: 'refuse a request for access',
  http: { method: 'POST', path: `${PATH}/{request}/refuse` },
  right: 'grants:approve',
  input: decision,
  output: v.object({}),
  place: placeOf,
  async run(context, input) {
    await decide(context, input, false)
    return {}
  },
})

/** @throws {TunnelError} NOT_FOUND, FORBIDDEN for the one who asked, CONFLICT where it is decided or too old */
async function decide(
  { relay, act }: OperationContext,
  { tenant, environment, request, site }: v.InferOutput<typeof decision>,
  isApproved: boolean,
): Promise<GrantRequest> {
  const found = await relay.authority.store.findGrantRequest(tenant, request)
  if (found?.environment !== environment || (site !== undefined && site !== found.site)) {
    throw new TunnelError('NOT_FOUND', `There is no request ${request}.`, {
      next: 'sallyport relay grant requests',
    })
  }
  if (isApproved && isBy(found, act)) {
    throw new TunnelError('FORBIDDEN', 'Somebody else has to approve what you asked for.', {
      next: 'ask somebody else who may approve requests',
    })
  }
  if (!(await relay.authority.store.decideGrantRequest(tenant, request, isApproved, act))) {
    throw new TunnelError('CONFLICT', 'The request was decided before, or waited too long.', {
      next: 'sallyport relay grant requests',
    })
  }
  return found
}

function isBy({ requester }: GrantRequest, { actor }: Act): boolean {
  return requester.kind === actor.kind && requester.id === actor.id
}

function isWaiting({ state, expiresAt }: GrantRequest, now: number): boolean {
  return state === 'open' && now < expiresAt
}

function newestFirst({ createdAt, id }: GrantRequest): string {
  return `${String(Number.MAX_SAFE_INTEGER - createdAt).padStart(16, '0')} ${id}`
}

function rowOf(one: GrantRequest, now: number): v.InferOutput<typeof requestRow> {
  const { id, connector, reason, durationMs, requester, createdAt, state, decider, expiresAt } = one
  const isOver = now >= expiresAt && (state === 'open' || state === 'approved')
  return {
    request: id,
    ...{ connector, resource: formatResourceName(one), reason, durationMs, createdAt, expiresAt },
    requester: actorText(requester),
    state: isOver ? 'over' : state,
    ...(decider === undefined ? {} : { decider: actorText(decider) }),
  }
}

function actorText({ kind, id }: GrantRequest['requester']): string {
  return id === '' ? kind : `${kind}:${id}`
}
