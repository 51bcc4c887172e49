import net from 'node:net'
import * as v from 'valibot'
import type { ControlHandler } from '../shared/control/serve.ts'
import { TunnelError } from '../shared/errors.ts'
import { formatCredentials } from '../shared/identity/credentials.ts'
import { formatResourceName, parseResourceName } from '../shared/identity/names.ts'
import { createJoinString, issueConnector } from './authority/invite.ts'
import { method, operatorAct, placeParams, tenantParam, textParam } from './control-method.ts'
import { removalHandlers } from './control-removal.ts'
import { statusOf } from './control-status.ts'
import { requireTenant, tenantHandlers } from './control-tenants.ts'
import { hostOf } from './ingress/host-route.ts'
import type { Relay } from './relay.ts'

/** For commands that show everything of a tenant where no environment is named. */
const viewParams = { ...tenantParam, environment: v.optional(textParam) }

/** What the relay's commands ask of it over the control channel: method to handler. */
export function controlHandlers(relay: Relay): Readonly<Record<string, ControlHandler>> {
  return {
    ...tenantHandlers(relay),
    ...removalHandlers(relay),
    ...invitationHandlers(relay),
    ...publicationHandlers(relay),
    revoke: method(
      v.strictObject({ ...placeParams, kind: v.picklist(['agent', 'connector']), name: textParam }),
      async ({ kind, ...who }) => (kind === 'agent' ? revokeAgents(relay, who) : revokeConnector(relay, who)),
    ),
    list: method(v.strictObject(viewParams), async ({ tenant, environment }) => {
      await requireTenant(relay, tenant)
      return list(relay, tenant, environment)
    }),
    status: method(v.strictObject(viewParams), async ({ tenant, environment }) => {
      await requireTenant(relay, tenant)
      return statusOf(relay, tenant, environment)
    }),
  }
}

function invitationHandlers({ authority, address }: Relay): Readonly<Record<string, ControlHandler>> {
  const location = { addresses: [address], serverName: address.host }
  return {
    'join-token': method(
      v.strictObject({
        ...placeParams,
        site: textParam,
        ttlMs: v.optional(v.pipe(v.number(), v.minValue(1_000), v.maxValue(7 * 86_400_000))),
      }),
      async ({ tenant, environment, site, ttlMs }) => {
        const life = ttlMs === undefined ? {} : { lifetimeMs: ttlMs }
        const options = { ...location, environment, site, ...life }
        const issued = await createJoinString(authority, tenant, options, operatorAct(authority.effects))
        return { text: issued.text.reveal(), expiresAt: issued.expiresAt }
      },
    ),
    'connector-add': method(
      v.strictObject({
        ...placeParams,
        name: textParam,
        resources: v.pipe(v.array(textParam), v.minLength(1), v.maxLength(1_000)),
      }),
      async ({ tenant, environment, name, resources }) => {
        const options = { ...location, environment, name, grants: resources.map(parseResourceName) }
        const issued = await issueConnector(authority, tenant, options, operatorAct(authority.effects))
        return {
          credentials: formatCredentials(issued.credentials).reveal(),
          fingerprint: issued.fingerprint,
          notAfter: issued.notAfter,
        }
      },
    ),
  }
}

function publicationHandlers(relay: Relay): Readonly<Record<string, ControlHandler>> {
  const { authority, publications } = relay
  return {
    publish: method(
      v.strictObject({
        ...placeParams,
        resource: textParam,
        kind: v.picklist(['tcp', 'host', 'sni']),
        address: textParam,
      }),
      async ({ tenant, environment, resource, kind, address }) => {
        const name = parseResourceName(resource)
        const canonical = kind === 'tcp' ? address : publicName(address, kind, relay)
        const publication = { ...name, environment, kind, address: canonical }
        return { address: await publications.publish(tenant, publication, operatorAct(authority.effects)) }
      },
    ),
    unpublish: method(
      v.strictObject({ ...placeParams, resource: textParam }),
      async ({ tenant, environment, resource }) => {
        const { site, resource: name } = parseResourceName(resource)
        const place = { tenantId: tenant, environment, site }
        return { removed: await publications.unpublish(place, name, operatorAct(authority.effects)) }
      },
    ),
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

async function list(
  { authority, publications }: Relay,
  tenant: string,
  environment: string | undefined,
): Promise<object> {
  const { store } = authority
  const [sites, agents, connectors] = [
    await store.listSites(tenant, environment),
    await store.listAgents(tenant, { environment }),
    await store.listConnectors(tenant, environment),
  ]
  return {
    tenant,
    sites: sites.map(({ name }) => name),
    agents: agents.map((agent) => ({
      id: agent.id,
      environment: agent.environment,
      site: agent.site,
      fingerprint: agent.fingerprint,
      createdAt: agent.createdAt,
      notAfter: agent.notAfter,
      revoked: agent.revokedAt !== undefined,
    })),
    connectors: await Promise.all(
      connectors.map(async (connector) => ({
        name: connector.name,
        environment: connector.environment,
        fingerprint: connector.fingerprint,
        notAfter: connector.notAfter,
        revoked: connector.revokedAt !== undefined,
        resources: (await store.listGrants(tenant, connector.id)).map(formatResourceName),
      })),
    ),
    publications: await publications.list(tenant, environment),
  }
}

/** Whom a command names. */
interface Named {
  readonly tenant: string
  readonly environment: string
  readonly name: string
}

/** An agent is named by its site (all its agents) or by its id. */
async function revokeAgents({ authority, sessions }: Relay, named: Named): Promise<object> {
  const { store, effects } = authority
  const { tenant, environment, name } = named
  const agents = await store.listAgents(tenant, { environment })
  const act = operatorAct(effects)
  let revoked = 0
  let closed = 0
  for (const { id } of agents.filter((agent) => agent.site === name || agent.id === name)) {
    if (await store.revokeAgent(tenant, id, act)) revoked++
    closed += sessions.revoke('agent', tenant, id)
  }
  if (revoked === 0) throw new TunnelError('NOT_FOUND', `There is no agent ${name} that is not revoked.`)
  return { revoked, closed }
}

async function revokeConnector({ authority, sessions }: Relay, named: Named): Promise<object> {
  const { store, effects } = authority
  const { tenant, environment, name } = named
  const connector = await store.findConnectorByName(tenant, environment, name)
  if (connector === undefined) throw new TunnelError('NOT_FOUND', `There is no connector ${name}.`)
  await store.revokeConnector(tenant, connector.id, operatorAct(effects))
  return { revoked: 1, closed: sessions.revoke('connector', tenant, connector.id) }
}
