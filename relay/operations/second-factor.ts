import * as v from 'valibot'
import { ms, tenantField, tenantPlace } from './input.ts'
import { type Operation, operation } from './operation.ts'

const PATH = '/tenants/{tenant}/second-factor'

const demand = v.object({ isDemanded: v.boolean(), since: v.optional(ms) })

export const showSecondFactor = operation({
  name: 'second-factor.show',
  summary: 'show whether the people of a tenant need a second factor',
  http: { method: 'GET', path: PATH },
  right: 'people:read',
  input: v.strictObject(tenantField),
  output: demand,
  place: tenantPlace,
  async run({ relay: { people } }, { tenant }) {
    const since = await people.store.secondFactorSince(tenant)
    return { isDemanded: since !== undefined, ...(since === undefined ? {} : { since }) }
  },
})

export const setSecondFactor = operation({
  name: 'second-factor.set',
  summary: 'demand a second factor of the people of a tenant: without one they reach their own account only',
  http: { method: 'PUT', path: PATH },
  right: 'tenant:write',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, isDemanded: v.boolean() }),
  output: v.object({ isDemanded: v.boolean(), isNew: v.boolean() }),
  place: tenantPlace,
  async run({ relay: { people }, act }, { tenant, isDemanded }) {
    const isNew = await people.store.demandSecondFactor(tenant, isDemanded, act)
    await people.enforcement.listeners.check(tenant)
    return { isDemanded, isNew }
  },
})

/** The demand of a tenant for second factors. */
export const SECOND_FACTOR_OPERATIONS: readonly Operation[] = [showSecondFactor, setSecondFactor]
