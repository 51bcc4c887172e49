import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { formatId } from '../../shared/identity/subject.ts'
import { SUPPORT_ROLES, type SupportRecord } from '../store/support-store.ts'
import { supportState } from '../support/present.ts'
import { ms, placeOf, tenantField, tenantPlace, text, viewFields } from './input.ts'
import { operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/support'

/** Longest access of one grant, in ms: 30 days. */
export const SUPPORT_MAX_MS = 30 * 86_400_000

export const addSupport = operation({
  name: 'support.add',
  summary: 'let a named person help for a set time, in a role that gives nobody rights',
  http: { method: 'POST', path: PATH },
  right: 'support:write',
  isDangerous: true,
  input: v.strictObject({
    ...viewFields,
    site: v.optional(text),
    person: text,
    role: v.picklist(SUPPORT_ROLES),
    reason: v.pipe(text, v.trim(), v.minLength(1)),
    /** Now where it is left out. */
    beginsAt: v.optional(ms),
    endsAt: ms,
  }),
  output: v.object({ support: v.string() }),
  place: placeOf,
  async run({ relay, act }, { tenant, environment, site, person, role, reason, endsAt, ...rest }) {
    const beginsAt = rest.beginsAt ?? act.at
    if (site !== undefined && environment === undefined) {
      throw new TunnelError('USAGE', 'A site is one of an environment: name that, too.')
    }
    if (endsAt <= act.at || beginsAt >= endsAt || endsAt - beginsAt > SUPPORT_MAX_MS) {
      throw new TunnelError('USAGE', 'Support access begins before it ends, and lasts 30 days at most.')
    }
    if (act.actor.kind === 'person' && act.actor.id === person) {
      throw new TunnelError('FORBIDDEN', 'Nobody gives support access to himself.')
    }
    const { store, effects } = relay.authority
    const id = formatId(effects.randomBytes(16))
    const support = { id, personId: person, role, environment, site, reason, beginsAt, endsAt }
    await store.addSupport(tenant, support, act)
    return { support: id }
  },
})

export const revokeSupport = operation({
  name: 'support.revoke',
  summary: 'end a support access at once',
  http: { method: 'POST', path: `${PATH}/{support}/revoke` },
  right: 'support:write',
  input: v.strictObject({ ...tenantField, support: text }),
  output: v.object({}),
  place: tenantPlace,
  async run({ relay, act }, { tenant, support }) {
    if (!(await relay.authority.store.revokeSupport(tenant, support, act))) {
      throw new TunnelError('NOT_FOUND', `There is no support access ${support} that is not revoked.`, {
        next: 'sallyport relay support list',
      })
    }
    await relay.enforce(tenant)
    return {}
  },
})

const supportRow = v.object({
  support: v.string(),
  person: v.string(),
  role: v.picklist(SUPPORT_ROLES),
  environment: v.optional(v.string()),
  site: v.optional(v.string()),
  reason: v.string(),
  giver: v.string(),
  beginsAt: ms,
  endsAt: ms,
  usedAt: v.optional(ms),
  /** `later`, `open`, `in use`, `over` or `revoked`. */
  state: v.string(),
})

export const listSupport = operation({
  name: 'support.list',
  summary: 'show who may help until when, and whether somebody does so now',
  http: { method: 'GET', path: PATH },
  right: 'people:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(supportRow),
  place: tenantPlace,
  async run({ relay, act }, { tenant, ...page }) {
    const all = await relay.authority.store.listSupport(tenant)
    const { items, ...rest } = pageOf(all, newestFirst, page)
    return { items: items.map((one) => rowOf(one, act.at)), ...rest }
  },
})

function newestFirst({ createdAt, id }: SupportRecord): string {
  return `${String(Number.MAX_SAFE_INTEGER - createdAt).padStart(16, '0')} ${id}`
}

function rowOf(one: SupportRecord, now: number): v.InferOutput<typeof supportRow> {
  const { id, personId, role, environment, site, reason, giver, beginsAt, endsAt, usedAt } = one
  return {
    ...{ support: id, person: personId, role, reason, beginsAt, endsAt },
    ...(environment === undefined ? {} : { environment }),
    ...(site === undefined ? {} : { site }),
    ...(usedAt === undefined ? {} : { usedAt }),
    giver: giver.id === '' ? giver.kind : `${giver.kind}:${giver.id}`,
    state: supportState(one, now),
  }
}
