import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { formatCredentials } from '../../shared/identity/credentials.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import { createJoinString, GRANTS_MAX, issueConnector, JOIN_TTL } from '../authority/invite.ts'
import { issueTokenConnector } from '../machines/token-connector.ts'
import type { Relay } from '../relay.ts'
import { ms, placeFields, placeOf, text } from './input.ts'
import { operation } from './operation.ts'

const ENVIRONMENT_PATH = '/tenants/{tenant}/environments/{environment}'

export const inviteAgent = operation({
  name: 'agent.invite',
  summary: 'make a join string for one agent; it works once',
  http: { method: 'POST', path: `${ENVIRONMENT_PATH}/sites/{site}/join-strings` },
  right: 'sites:write',
  input: v.strictObject({
    ...placeFields,
    site: text,
    ttlMs: v.optional(v.pipe(v.number(), v.minValue(JOIN_TTL.min), v.maxValue(JOIN_TTL.max))),
  }),
  output: v.object({ text: v.string(), expiresAt: ms }),
  place: placeOf,
  async run({ relay, act }, { tenant, environment, site, ttlMs }) {
    const life = ttlMs === undefined ? {} : { lifetimeMs: ttlMs }
    const options = { ...locationOf(relay), environment, site, ...life }
    const issued = await createJoinString(relay.authority, tenant, options, act)
    return { text: issued.text.reveal(), expiresAt: issued.expiresAt }
  },
})

export const addConnector = operation({
  name: 'connector.add',
  summary: 'issue credentials for a connector that may use some resources',
  http: { method: 'POST', path: `${ENVIRONMENT_PATH}/connectors` },
  right: 'connectors:write',
  input: v.strictObject({
    ...placeFields,
    connector: text,
    resources: v.pipe(v.array(text), v.minLength(1), v.maxLength(GRANTS_MAX)),
    /** How it proves itself: by a certificate, or by tokens that it gets for a client secret. */
    proof: v.optional(v.picklist(['certificate', 'token']), 'certificate'),
  }),
  /** Without fingerprint and end for a connector that comes by tokens. */
  output: v.object({
    credentials: v.string(),
    fingerprint: v.optional(v.string()),
    notAfter: v.optional(ms),
  }),
  place: placeOf,
  async run({ relay, act }, { tenant, environment, connector, resources, proof }) {
    const grants = resources.map(parseResourceName)
    const options = { ...locationOf(relay), environment, name: connector, grants }
    if (proof === 'token') {
      const credentials = await issueTokenConnector(relay.authority, tenant, options, act)
      return { credentials: formatCredentials(credentials).reveal() }
    }
    const issued = await issueConnector(relay.authority, tenant, options, act)
    const { fingerprint, notAfter } = issued
    return { credentials: formatCredentials(issued.credentials).reveal(), fingerprint, notAfter }
  },
})

const ended = v.object({ revoked: v.number(), closed: v.number() })

export const revokeAgent = operation({
  name: 'agent.revoke',
  summary: "end the identity of an agent, or of all of a site's, for good, with all its sessions",
  http: { method: 'POST', path: `${ENVIRONMENT_PATH}/agents/{agent}/revoke` },
  right: 'sites:write',
  isDangerous: true,
  input: v.strictObject({ ...placeFields, agent: text }),
  output: ended,
  place: placeOf,
  async run({ relay, act }, { tenant, environment, agent: named }) {
    const { store, copies } = relay.authority
    const agents = await store.listAgents(tenant, { environment })
    let revoked = 0
    let closed = 0
    for (const { id } of agents.filter((agent) => agent.site === named || agent.id === named)) {
      if (await store.revokeAgent(tenant, id, act)) revoked++
      closed += relay.sessions.revoke('agent', tenant, id)
      copies.forget({ tenantId: tenant, id })
    }
    if (revoked === 0) throw new TunnelError('NOT_FOUND', `There is no agent ${named} that is not revoked.`)
    return { revoked, closed }
  },
})

export const revokeConnector = operation({
  name: 'connector.revoke',
  summary: 'end the identity of a connector for good, with all its sessions',
  http: { method: 'POST', path: `${ENVIRONMENT_PATH}/connectors/{connector}/revoke` },
  right: 'connectors:write',
  isDangerous: true,
  input: v.strictObject({ ...placeFields, connector: text }),
  output: ended,
  place: placeOf,
  async run({ relay, act }, { tenant, environment, connector: name }) {
    const { store } = relay.authority
    const connector = await store.findConnectorByName(tenant, environment, name)
    if (connector === undefined) throw new TunnelError('NOT_FOUND', `There is no connector ${name}.`)
    await store.revokeConnector(tenant, connector.id, act)
    return { revoked: 1, closed: relay.sessions.revoke('connector', tenant, connector.id) }
  },
})

/** What is published. */
export const publicationRow = v.object({
  environment: v.string(),
  site: v.string(),
  resource: v.string(),
  kind: v.string(),
  address: v.string(),
  error: v.optional(v.string()),
})

function locationOf({ address }: Relay) {
  return { addresses: [address], serverName: address.host }
}
