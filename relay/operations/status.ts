import * as v from 'valibot'
import { resumeSummary } from '../../shared/cli/resumes.ts'
import type { Trouble } from '../../shared/cli/trouble.ts'
import { ERRORS, type ErrorCode, errorEntry, type Leg } from '../../shared/errors.ts'
import { formatCidr } from '../../shared/policy/cidr.ts'
import { copyText } from '../enforcement/copy-alarm.ts'
import type { SessionHealth, TargetHealth } from '../gateway/health.ts'
import type { LiveSession } from '../gateway/sessions.ts'
import type { Relay } from '../relay.ts'
import { presentSupport, supportNow } from '../support/present.ts'
import { copiesOf } from './copies.ts'
import { publicationRow } from './identities.ts'
import { placeOf, requireTenant, viewFields } from './input.ts'
import { operation } from './operation.ts'

/** Most troubles in one answer; what is beyond them is counted. */
const MAX_TROUBLES = 1_000

const counts = v.object({
  ok: v.number(),
  warn: v.number(),
  failing: v.number(),
  unknown: v.number(),
  unasked: v.number(),
})

const sessionRow = v.object({
  session: v.string(),
  kind: v.string(),
  environment: v.string(),
  name: v.string(),
  id: v.string(),
  product: v.string(),
  release: v.optional(v.string()),
  source: v.string(),
  since: v.number(),
  links: v.number(),
  streams: v.number(),
  rttMs: v.nullable(v.number()),
  targets: v.optional(counts),
})

const statusOutput = v.object({
  listening: v.object({ host: v.string(), port: v.number() }),
  tenant: v.string(),
  counts: v.object({
    sites: v.number(),
    agents: v.number(),
    connectors: v.number(),
    publications: v.number(),
    openJoinTokens: v.number(),
  }),
  address: v.object({ host: v.string(), port: v.number() }),
  /** Ranges of the proxies before the relay. */
  proxies: v.array(v.string()),
  troubles: v.array(
    v.object({
      environment: v.string(),
      site: v.string(),
      resource: v.optional(v.string()),
      agentId: v.optional(v.string()),
      state: v.picklist(['failing', 'warn']),
      leg: v.custom<Leg>((leg) => typeof leg === 'string'),
      what: v.string(),
      code: v.optional(v.picklist(Object.keys(ERRORS) as ErrorCode[])),
      since: v.optional(v.number()),
      text: v.optional(v.string()),
      next: v.optional(v.string()),
    }),
  ),
  troublesLeftOut: v.number(),
  sessions: v.array(sessionRow),
  waiting: v.number(),
  resumes: resumeSummary,
  publications: v.array(publicationRow),
  /** Who helps now, or may. */
  support: v.array(presentSupport),
})

/** A trouble of one tenant. */
export interface PlacedTrouble extends Trouble {
  readonly environment: string
  readonly site: string
  readonly resource?: string
  /** The agent that says so. */
  readonly agentId?: string
}

export const showStatus = operation({
  name: 'status.show',
  summary: 'show what is connected and what is broken, on which leg and since when',
  http: { method: 'GET', path: '/tenants/{tenant}/status' },
  right: 'sites:read',
  input: v.strictObject(viewFields),
  output: statusOutput,
  place: placeOf,
  async run({ relay }, { tenant, environment }) {
    await requireTenant(relay, tenant)
    return statusOf(relay, tenant, environment)
  },
})

async function statusOf(
  relay: Relay,
  tenant: string,
  environment: string | undefined,
): Promise<v.InferOutput<typeof statusOutput>> {
  const { authority, sessions, publications, streams, counts } = relay
  const live = sessions
    .list()
    .filter(
      ({ principal }) =>
        principal.tenantId === tenant && (environment === undefined || principal.environment === environment),
    )
  const troubles = [
    ...copyTroubles(relay, tenant, environment),
    ...(await offlineSites(relay, tenant, environment)),
    ...targetTroubles(live),
  ]
  return {
    listening: relay.listening,
    address: relay.address,
    proxies: relay.proxies.map(formatCidr),
    tenant,
    counts: await authority.store.counts(tenant, authority.effects.date()),
    troubles: troubles.slice(0, MAX_TROUBLES),
    troublesLeftOut: Math.max(0, troubles.length - MAX_TROUBLES),
    sessions: live.map(sessionOf),
    waiting: streams.waitingCount,
    resumes: counts.resumes.summary(),
    publications: [...(await publications.list(tenant, environment))],
    support: await supportNow(relay, tenant, environment),
  }
}

function sessionOf(live: LiveSession) {
  const { name, principal, session, product, release, sourceAddress, connectedAt, health } = live
  return {
    session: name,
    kind: principal.kind,
    environment: principal.environment,
    name: principal.kind === 'agent' ? principal.site : principal.name,
    id: principal.id,
    product,
    ...(release === undefined ? {} : { release }),
    source: sourceAddress,
    since: connectedAt,
    links: session.linkCount,
    streams: session.streamCount,
    rttMs: finite(session.link.rttMs),
    ...(health.hasReported ? { targets: countsOf(health) } : {}),
  }
}

/** Agents of which there seem to be two: somebody may have their key. */
function copyTroubles(relay: Relay, tenant: string, environment: string | undefined): PlacedTrouble[] {
  return copiesOf(relay, tenant)
    .filter(({ agent }) => environment === undefined || agent.environment === environment)
    .map((copy) => ({
      state: 'warn',
      leg: 'agent',
      environment: copy.agent.environment,
      site: copy.agent.site,
      agentId: copy.agent.id,
      what: `${copy.agent.environment} ${copy.agent.site}`,
      since: copy.since,
      text: `There seem to be two of its agent: ${copyText(copy)}.`,
      next: `sallyport relay revoke agent ${copy.agent.site}, then join anew on the machine that is meant`,
    }))
}

/** Sites that have an agent and no session of one. */
async function offlineSites(
  { authority, sessions }: Relay,
  tenantId: string,
  environment: string | undefined,
): Promise<PlacedTrouble[]> {
  const present = new Set(
    sessions
      .list()
      .flatMap(({ principal }) =>
        principal.kind === 'agent' && principal.tenantId === tenantId ? placeText(principal) : [],
      ),
  )
  const agents = await authority.store.listAgents(tenantId, { environment })
  const absent = agents.filter((agent) => agent.revokedAt === undefined && !present.has(placeText(agent)))
  const places = new Map(absent.map((agent) => [placeText(agent), agent]))
  return [...places.values()].map((agent) => {
    const last = sessions.offline({ tenantId, environment: agent.environment, site: agent.site })
    return {
      state: 'failing',
      code: 'AGENT_OFFLINE',
      leg: errorEntry('AGENT_OFFLINE').leg,
      environment: agent.environment,
      site: agent.site,
      what: `${agent.environment} ${agent.site}`,
      ...(last === undefined ? {} : { since: last.since }),
      text:
        last === undefined
          ? 'None has come since this relay began.'
          : `Its last session ended by ${last.code}.`,
    }
  })
}

/** What the agents say of themselves and their targets, each agent once. */
function targetTroubles(live: readonly LiveSession[]): PlacedTrouble[] {
  const byAgent = new Map(live.map((one) => [one.principal.id, one]))
  return [...byAgent.values()].flatMap(({ principal, health }) => {
    if (principal.kind !== 'agent') return []
    const { environment, site, id } = principal
    const common = { environment, site, agentId: id }
    const own = health.conditions.map((condition) => ({
      ...common,
      ...condition,
      leg: 'agent' as const,
      what: `${environment} ${site}`,
    }))
    // A pause is said of the agent, and not of each target.
    const ill = [...health.targets].filter(
      ([, { state, code }]) => (state === 'failing' || state === 'warn') && code !== 'PAUSED',
    )
    const targets = ill.map(([resource, target]) => ({
      ...common,
      ...troubleOf(target),
      resource,
      what: `${environment} ${site}/${resource}`,
    }))
    return [...own, ...targets]
  })
}

function troubleOf({ state, code, since, text }: TargetHealth): Omit<Trouble, 'what'> {
  return {
    state: state === 'warn' ? 'warn' : 'failing',
    leg: code === undefined ? 'agent-target' : errorEntry(code).leg,
    since,
    ...(code === undefined ? {} : { code }),
    ...(text === undefined ? {} : { text }),
  }
}

function countsOf({ targets }: SessionHealth): Record<TargetHealth['state'], number> {
  const counts = { ok: 0, warn: 0, failing: 0, unknown: 0, unasked: 0 }
  for (const { state } of targets.values()) counts[state]++
  return counts
}

function placeText({ environment, site }: { environment: string; site: string }): string {
  return `${environment}/${site}`
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 100) / 100 : null
}
