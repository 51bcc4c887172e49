import net from 'node:net'
import * as v from 'valibot'
import type { ControlHandler } from '../shared/control/serve.ts'
import { TunnelError } from '../shared/errors.ts'
import { formatCredentials } from '../shared/identity/credentials.ts'
import { formatResourceName, parseResourceName } from '../shared/identity/names.ts'
import { createJoinString, issueConnector } from './authority/invite.ts'
import { hostOf } from './ingress/host-route.ts'
import type { Relay } from './relay.ts'
import { DEFAULT_TENANT } from './store/store.ts'

const text = v.pipe(v.string(), v.maxLength(512))
const tenant = DEFAULT_TENANT

/** What the relay's commands ask of it over the control channel: method to handler. */
export function controlHandlers(relay: Relay): Readonly<Record<string, ControlHandler>> {
  const { authority, sessions, publications, streams } = relay
  const location = { addresses: [relay.address], serverName: relay.address.host }
  return {
    'join-token': method(
      v.strictObject({
        site: text,
        ttlMs: v.optional(v.pipe(v.number(), v.minValue(1_000), v.maxValue(7 * 86_400_000))),
      }),
      async ({ site, ttlMs }) => {
        const issued = await createJoinString(authority, tenant, {
          ...location,
          site,
          ...(ttlMs === undefined ? {} : { lifetimeMs: ttlMs }),
        })
        return { text: issued.text.reveal(), expiresAt: issued.expiresAt }
      },
    ),
    'connector-add': method(
      v.strictObject({ name: text, resources: v.pipe(v.array(text), v.minLength(1), v.maxLength(1_000)) }),
      async ({ name, resources }) => {
        const grants = resources.map(parseResourceName)
        const issued = await issueConnector(authority, tenant, { ...location, name, grants })
        return {
          credentials: formatCredentials(issued.credentials).reveal(),
          fingerprint: issued.fingerprint,
          notAfter: issued.notAfter,
        }
      },
    ),
    publish: method(
      v.strictObject({ resource: text, kind: v.picklist(['tcp', 'host', 'sni']), address: text }),
      async ({ resource, kind, address }) => {
        const name = parseResourceName(resource)
        const canonical = kind === 'tcp' ? address : publicName(address, kind, relay)
        return { address: await publications.publish({ ...name, kind, address: canonical }) }
      },
    ),
    unpublish: method(v.strictObject({ resource: text }), async ({ resource }) => {
      const { site, resource: name } = parseResourceName(resource)
      return { removed: await publications.unpublish(site, name) }
    }),
    revoke: method(
      v.strictObject({ kind: v.picklist(['agent', 'connector']), name: text }),
      async ({ kind, name }) => (kind === 'agent' ? revokeAgents(relay, name) : revokeConnector(relay, name)),
    ),
    list: method(v.strictObject({}), async () => list(relay)),
    status: method(v.strictObject({}), async () => ({
      listening: relay.listening,
      address: relay.address,
      counts: await authority.store.counts(tenant, authority.effects.date()),
      sessions: sessions.list().map((live) => ({
        session: live.name,
        kind: live.principal.kind,
        name: live.principal.kind === 'agent' ? live.principal.site : live.principal.name,
        id: live.principal.id,
        product: live.product,
        source: live.sourceAddress,
        since: live.connectedAt,
        streams: live.session.streamCount,
        rttMs: finite(live.session.link.inFlight.minRttMs),
      })),
      waiting: streams.waitingCount,
      publications: await publications.list(),
    })),
  }
}

/** A handler whose parameters were checked. */
function method<Input>(
  schema: v.GenericSchema<unknown, Input>,
  act: (params: Input) => Promise<object>,
): ControlHandler {
  return async (params) => {
    const parsed = v.safeParse(schema, params, { abortEarly: true })
    if (!parsed.success) {
      throw new TunnelError('USAGE', `${v.getDotPath(parsed.issues[0]) ?? 'The request'} is not right.`)
    }
    return act(parsed.output)
  }
}

/** @throws {TunnelError} CONFIG where it is no host name, CONFLICT where it is the relay's own */
function publicName(text: string, kind: 'host' | 'sni', relay: Relay): string {
  const host = hostOf(text)
  // TLS asks for no addresses (RFC 6066 section 3).
  const isName =
    host !== undefined && host === text.toLowerCase() && (kind === 'host' || net.isIP(host) === 0)
  if (!isName) throw new TunnelError('CONFIG', `${text} is no host name.`)
  if (host === relay.address.host) throw new TunnelError('CONFLICT', `${host} is the relay itself.`)
  return host
}

async function list({ authority, publications }: Relay): Promise<object> {
  const { store } = authority
  const connectors = await store.listConnectors(tenant)
  return {
    sites: await store.listSites(tenant),
    agents: (await store.listAgents(tenant)).map(
      ({ id, site, fingerprint, createdAt, notAfter, revokedAt }) => ({
        id,
        site,
        fingerprint,
        createdAt,
        notAfter,
        revoked: revokedAt !== undefined,
      }),
    ),
    connectors: await Promise.all(
      connectors.map(async ({ id, name, fingerprint, notAfter, revokedAt }) => ({
        name,
        fingerprint,
        notAfter,
        revoked: revokedAt !== undefined,
        resources: (await store.listGrants(tenant, id)).map(formatResourceName),
      })),
    ),
    publications: await publications.list(),
  }
}

/** An agent is named by its site (all its agents) or by its id. */
async function revokeAgents({ authority, sessions }: Relay, name: string): Promise<object> {
  const { store, effects } = authority
  const agents = (await store.listAgents(tenant)).filter((agent) => agent.site === name || agent.id === name)
  const now = effects.date()
  let revoked = 0
  let closed = 0
  for (const { id } of agents) {
    if (await store.revokeAgent(tenant, id, now)) revoked++
    closed += sessions.revoke('agent', tenant, id)
  }
  if (revoked === 0) throw new TunnelError('NOT_FOUND', `There is no agent ${name} that is not revoked.`)
  return { revoked, closed }
}

async function revokeConnector({ authority, sessions }: Relay, name: string): Promise<object> {
  const { store, effects } = authority
  const connector = await store.findConnectorByName(tenant, name)
  if (connector === undefined) throw new TunnelError('NOT_FOUND', `There is no connector ${name}.`)
  await store.revokeConnector(tenant, connector.id, effects.date())
  return { revoked: 1, closed: sessions.revoke('connector', tenant, connector.id) }
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 100) / 100 : null
}
