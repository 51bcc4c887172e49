import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import type { Relay } from '../relay.ts'
import { FREEZE_KINDS, type FreezeTarget } from '../store/access-store.ts'
import { endedOutput, requireConnector } from './grants.ts'
import { ms, placeFields, placeOf, requireTenant, tenantField, tenantPlace, text } from './input.ts'
import { operation, type Place } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/freezes'

/** The environment counts for all but the tenant, the name too. */
const targetFields = { ...placeFields, kind: v.picklist(FREEZE_KINDS), name: v.optional(text, '') }

type Input = v.InferOutput<ReturnType<typeof v.strictObject<typeof targetFields, undefined>>>

/** Where the right must be held: whoever may stop a site may stop its resources. */
function placeOfTarget({ kind, tenant, environment, name }: Input): Place {
  if (kind === 'tenant') return { tenantId: tenant }
  if (kind === 'connector') return { tenantId: tenant, environment }
  return { tenantId: tenant, environment, site: kind === 'site' ? name : parseResourceName(name).site }
}

function targetOf({ kind, environment, name }: Input): FreezeTarget {
  return kind === 'tenant' ? { kind, environment: '', name: '' } : { kind, environment, name }
}

/** A freeze of what is not there would stop nothing, and look as if it did. @throws {TunnelError} NOT_FOUND */
async function requireTarget(relay: Relay, input: Input): Promise<void> {
  const { kind, tenant, environment, name } = input
  if (kind === 'tenant') return requireTenant(relay, tenant)
  if (kind === 'connector') {
    await requireConnector(relay, { tenant, environment, connector: name })
    return
  }
  const { site = '' } = placeOfTarget(input)
  const sites = await relay.authority.store.listSites(tenant, environment)
  if (sites.every((known) => known.name !== site)) {
    throw new TunnelError('NOT_FOUND', `There is no site ${site}.`)
  }
}

export const addFreeze = operation({
  name: 'freeze.add',
  summary: 'stop a tenant, a site, a resource or a connector: its streams end, new ones are refused',
  http: { method: 'PUT', path: PATH },
  right: 'freeze:write',
  input: v.strictObject({ ...targetFields, reason: v.optional(text, '') }),
  output: v.object(endedOutput),
  place: placeOfTarget,
  async run({ relay, act }, { reason, ...input }) {
    await requireTarget(relay, input)
    await relay.authority.store.addFreeze(
      input.tenant,
      { ...targetOf(input), reason, createdAt: act.at },
      act,
    )
    return relay.enforce(input.tenant)
  },
})

export const removeFreeze = operation({
  name: 'freeze.remove',
  summary: 'let what was stopped work again',
  http: { method: 'DELETE', path: PATH },
  right: 'freeze:write',
  isDangerous: true,
  input: v.strictObject(targetFields),
  output: v.object({}),
  place: placeOfTarget,
  async run({ relay, act }, input) {
    if (!(await relay.authority.store.removeFreeze(input.tenant, targetOf(input), act))) {
      throw new TunnelError('NOT_FOUND', `${input.kind} ${input.name} is not frozen.`, {
        next: 'sallyport relay frozen',
      })
    }
    await relay.enforce(input.tenant)
    return {}
  },
})

export const listFreezes = operation({
  name: 'freeze.list',
  summary: 'show what is stopped, since when and why',
  http: { method: 'GET', path: PATH },
  right: 'sites:read',
  input: v.strictObject({ ...tenantField, environment: v.optional(text), ...pageFields }),
  output: pageOutput(
    v.object({
      kind: v.picklist(FREEZE_KINDS),
      environment: v.string(),
      name: v.string(),
      reason: v.string(),
      createdAt: ms,
    }),
  ),
  place: (input) => (input.environment === undefined ? tenantPlace(input) : placeOf(input)),
  async run({ relay }, { tenant, environment, ...page }) {
    const all = await relay.authority.store.listFreezes(tenant)
    const wanted = all.filter(
      (one) => environment === undefined || one.kind === 'tenant' || one.environment === environment,
    )
    return pageOf(wanted, ({ kind, environment: place, name }) => `${kind} ${place} ${name}`, page)
  },
})
