import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { fingerprint } from '../../shared/identity/keys.ts'
import { parseName, parseResourceName } from '../../shared/identity/names.ts'
import { formatRanges, parseCa, parseRanges, RANGES_MAX } from '../restrictions/restriction.ts'
import { RESTRICTION_KINDS, type RestrictionTarget } from '../store/restriction-store.ts'
import { endedOutput } from './grants.ts'
import { placeFields, placeOf, tenantField, tenantPlace, text } from './input.ts'
import { operation, type Place } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/restrictions'

/** Longest CA certificate in PEM, in characters. */
export const CA_MAX = 16_384

/** Restrictions of one tenant. */
export const RESTRICTIONS_MAX = 1_000

export const setRestriction = operation({
  name: 'restriction.set',
  summary: 'say from which addresses, and with a certificate of which CA, something may be reached',
  http: { method: 'PUT', path: `${PATH}/{restriction}` },
  right: 'restrictions:write',
  isDangerous: true,
  input: v.strictObject({
    ...tenantField,
    restriction: text,
    ranges: v.optional(v.pipe(v.array(text), v.maxLength(RANGES_MAX)), []),
    ca: v.optional(v.pipe(v.string(), v.maxLength(CA_MAX))),
  }),
  output: v.object(endedOutput),
  place: tenantPlace,
  async run({ relay, act }, { tenant, restriction, ranges, ca }) {
    if (ranges.length === 0 && ca === undefined) {
      throw new TunnelError('USAGE', 'A restriction without a range and a CA would restrict nothing.')
    }
    const { store } = relay.authority
    const name = parseName(restriction, 'restriction')
    const all = await store.listRestrictions(tenant)
    if (all.length >= RESTRICTIONS_MAX && all.every((one) => one.name !== name)) {
      throw new TunnelError('CONFIG', `At most ${RESTRICTIONS_MAX} restrictions.`)
    }
    const canonical = formatRanges(parseRanges(ranges))
    const pem = ca === undefined ? undefined : parseCa(ca).toString()
    await store.putRestriction(tenant, { name, ranges: canonical, ca: pem }, act)
    return relay.enforce(tenant)
  },
})

export const removeRestriction = operation({
  name: 'restriction.remove',
  summary: 'remove a restriction that is attached to nothing',
  http: { method: 'DELETE', path: `${PATH}/{restriction}` },
  right: 'restrictions:write',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, restriction: text }),
  output: v.object({}),
  place: tenantPlace,
  async run({ relay, act }, { tenant, restriction }) {
    if (!(await relay.authority.store.removeRestriction(tenant, restriction, act))) {
      throw new TunnelError('NOT_FOUND', `There is no restriction ${restriction}.`)
    }
    await relay.enforce(tenant)
    return {}
  },
})

export const listRestrictions = operation({
  name: 'restriction.list',
  summary: 'show the restrictions and what they are attached to',
  http: { method: 'GET', path: PATH },
  right: 'restrictions:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(
    v.object({
      restriction: v.string(),
      ranges: v.array(v.string()),
      /** Fingerprint of the CA's key. */
      ca: v.optional(v.string()),
      targets: v.array(
        v.object({ kind: v.picklist(RESTRICTION_KINDS), environment: v.string(), target: v.string() }),
      ),
    }),
  ),
  place: tenantPlace,
  async run({ relay }, { tenant, ...page }) {
    const all = await relay.authority.store.listRestrictions(tenant)
    const { items, ...rest } = pageOf(all, ({ name }) => name, page)
    const rows = items.map(({ name, ranges, ca, targets }) => ({
      restriction: name,
      ranges: [...ranges],
      ...(ca === undefined ? {} : { ca: fingerprint(parseCa(ca)) }),
      targets: [...targets],
    }))
    return { items: rows, ...rest }
  },
})

const attachment = v.strictObject({
  ...placeFields,
  restriction: text,
  kind: v.picklist(RESTRICTION_KINDS),
  target: v.optional(text, ''),
})

type Attachment = v.InferOutput<typeof attachment>

export const attachRestriction = operation({
  name: 'restriction.attach',
  summary: 'restrict a connector, a resource, a publication, the logins, or those of a person',
  http: { method: 'PUT', path: `${PATH}/{restriction}/targets` },
  right: 'restrictions:write',
  isDangerous: true,
  input: attachment,
  output: v.object(endedOutput),
  place: attachmentPlace,
  async run({ relay, act }, input) {
    const target = targetOf(input)
    await relay.authority.store.attachRestriction(input.tenant, input.restriction, target, act)
    return relay.enforce(input.tenant)
  },
})

export const detachRestriction = operation({
  name: 'restriction.detach',
  summary: 'restrict something no more',
  http: { method: 'DELETE', path: `${PATH}/{restriction}/targets` },
  right: 'restrictions:write',
  isDangerous: true,
  input: attachment,
  output: v.object({}),
  place: attachmentPlace,
  async run({ relay, act }, input) {
    const { tenant, restriction } = input
    if (!(await relay.authority.store.detachRestriction(tenant, restriction, targetOf(input), act))) {
      throw new TunnelError('NOT_FOUND', `${restriction} is not attached to ${input.kind} ${input.target}.`)
    }
    await relay.enforce(tenant)
    return {}
  },
})

function attachmentPlace(input: Attachment): Place {
  const { kind, tenant, target } = input
  if (kind === 'logins' || kind === 'person') return { tenantId: tenant }
  return placeOf({ ...input, site: kind === 'resource' ? parseResourceName(target).site : undefined })
}

/** @throws {TunnelError} USAGE */
function targetOf({ kind, environment, target }: Attachment): RestrictionTarget {
  if ((target === '') !== (kind === 'logins')) {
    throw new TunnelError('USAGE', 'Say what to restrict by its name; the logins have none.')
  }
  const isOfTenant = kind === 'logins' || kind === 'person'
  return { kind, environment: isOfTenant ? '' : environment, target }
}
