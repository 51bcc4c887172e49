import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { formatResourceName, parseResourceName } from '../../shared/identity/names.ts'
import { GRANTS_MAX } from '../authority/invite.ts'
import { formatHours, parseHours } from '../grants/hours.ts'
import { type GrantFault, grantVerdict } from '../grants/terms.ts'
import type { Relay } from '../relay.ts'
import type { ConnectorRecord } from '../store/store.ts'
import { ms, placeFields, placeOf, text } from './input.ts'
import { operation, type Place } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/environments/{environment}/connectors/{connector}/grants'

const grantFields = { ...placeFields, connector: text, resource: text }

/** The site of a resource, so that a right at a site is enough for its resources. */
export function resourcePlace(input: {
  readonly tenant: string
  readonly environment: string
  readonly resource: string
}): Place {
  return placeOf({ ...input, site: parseResourceName(input.resource).site })
}

/** The connector of that name that is not revoked. @throws {TunnelError} NOT_FOUND */
export async function requireConnector(
  { authority }: Relay,
  { tenant, environment, connector }: { tenant: string; environment: string; connector: string },
): Promise<ConnectorRecord> {
  const found = await authority.store.findConnectorByName(tenant, environment, connector)
  if (found === undefined) throw new TunnelError('NOT_FOUND', `There is no connector ${connector}.`)
  return found
}

/** What a change of rights has ended. */
export const endedOutput = { streams: v.number(), sessions: v.number() }

export const addGrant = operation({
  name: 'grant.add',
  summary: 'let a connector open a resource, or change until when and at which hours it may',
  http: { method: 'PUT', path: PATH },
  right: 'grants:write',
  input: v.strictObject({ ...grantFields, expiresAt: v.optional(ms), hours: v.optional(text) }),
  output: v.object(endedOutput),
  place: resourcePlace,
  async run({ relay, act }, { expiresAt, hours, ...input }) {
    if (expiresAt !== undefined && expiresAt <= act.at) {
      throw new TunnelError('USAGE', 'The grant would be over before it begins.')
    }
    const name = parseResourceName(input.resource)
    const { id } = await requireConnector(relay, input)
    const { store } = relay.authority
    const others = (await store.listGrants(input.tenant, id)).filter(
      (grant) => formatResourceName(grant) !== input.resource,
    )
    if (others.length >= GRANTS_MAX) throw new TunnelError('CONFIG', `At most ${GRANTS_MAX} grants.`)
    const parsed = hours === undefined ? undefined : parseHours(hours)
    await store.putGrant(input.tenant, { connectorId: id, ...name, expiresAt, hours: parsed }, act)
    return relay.enforce(input.tenant)
  },
})

export const removeGrant = operation({
  name: 'grant.remove',
  summary: 'take a resource back from a connector; its streams to it end',
  http: { method: 'DELETE', path: PATH },
  right: 'grants:write',
  isDangerous: true,
  input: v.strictObject(grantFields),
  output: v.object(endedOutput),
  place: resourcePlace,
  async run({ relay, act }, input) {
    const { id } = await requireConnector(relay, input)
    const name = parseResourceName(input.resource)
    if (!(await relay.authority.store.removeGrant(input.tenant, id, name, act))) {
      throw new TunnelError('NOT_FOUND', `${input.connector} was not granted ${input.resource}.`)
    }
    return relay.enforce(input.tenant)
  },
})

const STATES: Readonly<Record<GrantFault, string>> = { none: 'closed', expired: 'over', hours: 'closed' }

export const listGrants = operation({
  name: 'grant.list',
  summary: 'show what a connector may open, until when and at which hours',
  http: { method: 'GET', path: PATH },
  right: 'grants:read',
  input: v.strictObject({ ...placeFields, connector: text, ...pageFields }),
  output: pageOutput(
    v.object({
      resource: v.string(),
      expiresAt: v.optional(ms),
      hours: v.optional(v.string()),
      /** `open`, `closed` (outside its hours) or `over`. */
      state: v.string(),
    }),
  ),
  place: placeOf,
  async run({ relay, act }, input) {
    const { id } = await requireConnector(relay, input)
    const grants = await relay.authority.store.listGrants(input.tenant, id)
    const rows = grants.map(({ expiresAt, hours, ...name }) => {
      const verdict = grantVerdict([{ expiresAt, hours }], act.at)
      return {
        resource: formatResourceName(name),
        ...(expiresAt === undefined ? {} : { expiresAt }),
        ...(hours === undefined ? {} : { hours: formatHours(hours) }),
        state: verdict.holds ? 'open' : STATES[verdict.fault],
      }
    })
    return pageOf(rows, ({ resource }) => resource, input)
  },
})
