import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { mayGive } from '../access/authorize.ts'
import { ROLES } from '../access/rights.ts'
import { clearFactors } from '../people/factors.ts'
import { createLink } from '../people/links.ts'
import { parseLogin } from '../people/login-name.ts'
import { newId } from '../people/people.ts'
import type { PersonRecord } from '../store/people-store.ts'
import { ms, tenantField, tenantPlace, text } from './input.ts'
import { type Assignment, type OperationContext, operation } from './operation.ts'
import { pageFields, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/people'

const personInput = v.strictObject({ ...tenantField, person: text })

const link = { link: v.string(), expiresAt: ms }

export const addPerson = operation({
  name: 'person.add',
  summary: 'add a person and make the link by which it sets its password',
  http: { method: 'POST', path: PATH },
  right: 'people:write',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, login: text }),
  output: v.object({ person: v.string(), login: v.string(), ...link }),
  place: tenantPlace,
  async run({ relay: { people }, act }, { tenant, login: wanted }) {
    const id = newId(people)
    const login = parseLogin(wanted)
    await people.store.addPerson(tenant, { id, login }, act)
    const { url, expiresAt } = await createLink(people, tenant, id, act)
    return { person: id, login, link: url, expiresAt }
  },
})

/** A role as {@link roleOf} shows it. */
export const roleOutput = v.object({
  role: v.picklist(ROLES),
  environment: v.optional(v.string()),
  site: v.optional(v.string()),
  viaApi: v.boolean(),
})

export const listPeople = operation({
  name: 'person.list',
  summary: 'show the people of a tenant and their roles',
  http: { method: 'GET', path: PATH },
  right: 'people:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(
    v.object({
      person: v.string(),
      login: v.string(),
      createdAt: ms,
      lockedAt: v.optional(ms),
      hasPassword: v.boolean(),
      factors: v.array(v.string()),
      roles: v.array(roleOutput),
    }),
  ),
  place: tenantPlace,
  async run({ relay: { people } }, { tenant, limit, cursor }) {
    const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString('utf8')
    // One more than is shown tells whether there are more.
    const found = await people.store.listPeople(tenant, after, limit + 1)
    const items = await Promise.all(
      found.slice(0, limit).map(async ({ id, login, createdAt, lockedAt, passwordHash }) => {
        const factors = await people.store.listFactors(tenant, id)
        return {
          ...{ person: id, login, createdAt, hasPassword: passwordHash !== undefined },
          ...(lockedAt === undefined ? {} : { lockedAt }),
          factors: factors.filter(({ isConfirmed }) => isConfirmed).map(({ kind }) => kind),
          roles: (await people.store.listAssignments(tenant, id)).map(roleOf),
        }
      }),
    )
    const last = items.at(-1)
    const next =
      found.length > limit && last !== undefined ? Buffer.from(last.login).toString('base64url') : undefined
    return next === undefined ? { items } : { items, next }
  },
})

/** A role as the lists of people and keys show it. */
export function roleOf({
  role,
  environment,
  site,
  viaApi = false,
}: Assignment): v.InferOutput<typeof roleOutput> {
  const place = {
    ...(environment === undefined ? {} : { environment }),
    ...(site === undefined ? {} : { site }),
  }
  return { role, ...place, viaApi }
}

export const removePerson = operation({
  name: 'person.remove',
  summary: 'remove a person with all sessions and keys',
  http: { method: 'DELETE', path: `${PATH}/{person}` },
  right: 'people:write',
  isDangerous: true,
  input: personInput,
  output: v.object({ login: v.string() }),
  place: tenantPlace,
  async run(context, { tenant, person }) {
    const { id, login } = await requirePerson(context, tenant, person)
    await context.relay.people.store.removePerson(tenant, id, context.act)
    await context.relay.enforce(tenant)
    return { login }
  },
})

export const unlockPerson = operation({
  name: 'person.unlock',
  summary: 'let a person in again whose account was locked after too many logins that failed',
  http: { method: 'POST', path: `${PATH}/{person}/unlock` },
  right: 'people:write',
  isDangerous: true,
  input: personInput,
  output: v.object({ login: v.string() }),
  place: tenantPlace,
  async run(context, { tenant, person }) {
    const { id, login } = await requirePerson(context, tenant, person)
    await context.relay.people.store.unlockPerson(tenant, id, context.act)
    return { login }
  },
})

export const resetPerson = operation({
  name: 'person.reset',
  summary: 'make a link by which a person sets a new password, and unlock the account',
  http: { method: 'POST', path: `${PATH}/{person}/reset` },
  right: 'people:write',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, person: text, clearFactors: v.optional(v.boolean(), false) }),
  output: v.object({ login: v.string(), ...link }),
  place: tenantPlace,
  async run(context, { tenant, person, clearFactors: isCleared }) {
    const { people } = context.relay
    const { id, login } = await requirePerson(context, tenant, person)
    const { url, expiresAt } = await createLink(people, tenant, id, context.act)
    if (isCleared) await clearFactors(people, { tenantId: tenant, personId: id }, context.act)
    await people.store.unlockPerson(tenant, id, context.act)
    await people.enforcement.listeners.check(tenant)
    return { login, link: url, expiresAt }
  },
})

/**
 * A person who may be acted on: who may reset a password can be that person, so nobody acts on somebody with roles that he
 * could not give himself.
 * @throws {TunnelError} NOT_FOUND, FORBIDDEN
 */
export async function requirePerson(
  { relay: { people }, caller }: OperationContext,
  tenant: string,
  idOrLogin: string,
): Promise<PersonRecord> {
  const person = await people.store.findPerson(tenant, idOrLogin)
  if (person === undefined) throw new TunnelError('NOT_FOUND', 'There is no such person.')
  const assignments = await people.store.listAssignments(tenant, person.id)
  if (!assignments.every((one) => mayGive(caller, one))) {
    throw new TunnelError('FORBIDDEN', `${person.login} has roles that you could not give.`)
  }
  return person
}

const roleInput = v.strictObject({
  ...tenantField,
  person: text,
  role: v.picklist(ROLES),
  environment: v.optional(text),
  site: v.optional(text),
})

const roleFields = { ...roleInput.entries, viaApi: v.optional(v.boolean(), false) }

export const grantRole = operation({
  name: 'role.grant',
  summary: 'give a person a role in a tenant, an environment or a site',
  http: { method: 'POST', path: `${PATH}/{person}/roles` },
  right: 'people:write',
  isDangerous: true,
  input: v.strictObject(roleFields),
  output: v.object({ isNew: v.boolean() }),
  place: tenantPlace,
  async run(context, input) {
    const { id } = await requirePerson(context, input.tenant, input.person)
    const assignment = await requireAssignment(context, input)
    const isNew = await context.relay.people.store.grantRole(input.tenant, id, assignment, context.act)
    await context.relay.enforce(input.tenant)
    return { isNew }
  },
})

export const revokeRole = operation({
  name: 'role.revoke',
  summary: 'take a role back; all sessions of the person end',
  http: { method: 'DELETE', path: `${PATH}/{person}/roles` },
  right: 'people:write',
  isDangerous: true,
  input: roleInput,
  output: v.object({}),
  place: tenantPlace,
  async run(context, input) {
    const { id } = await requirePerson(context, input.tenant, input.person)
    const { tenant: tenantId, role, environment, site } = input
    const { store } = context.relay.people
    if (!(await store.revokeRole(tenantId, id, { tenantId, role, environment, site }, context.act))) {
      throw new TunnelError('NOT_FOUND', 'The person does not have this role there.')
    }
    await context.relay.enforce(tenantId)
    return {}
  },
})

/** @throws {TunnelError} NOT_FOUND for an environment that is not there, INPUT, FORBIDDEN */
async function requireAssignment(
  { relay: { people }, caller }: OperationContext,
  input: v.InferOutput<typeof roleInput> & { readonly viaApi: boolean },
): Promise<Assignment> {
  const { tenant: tenantId, role, environment, site, viaApi } = input
  if (environment === undefined && site !== undefined) {
    throw new TunnelError('INPUT', 'site: a site is in an environment.', {
      field: 'environment',
      rule: 'is named',
    })
  }
  const environments = await people.store.listEnvironments(tenantId)
  if (environment !== undefined && environments.every(({ name }) => name !== environment)) {
    throw new TunnelError('NOT_FOUND', `There is no environment ${environment}.`)
  }
  const assignment = { tenantId, role, environment, site, viaApi }
  if (!mayGive(caller, assignment)) {
    throw new TunnelError('FORBIDDEN', `You could not do there what ${role} may do.`)
  }
  return assignment
}

export const makeSetupLink = operation({
  name: 'setup.link',
  summary: 'make the link by which the first owner of a tenant is made, while there is none',
  http: { method: 'POST', path: '/tenants/{tenant}/setup-link' },
  right: 'relay:write',
  input: v.strictObject(tenantField),
  output: v.object(link),
  place: () => undefined,
  async run({ relay: { people }, act }, { tenant }) {
    const { url, expiresAt } = await createLink(people, tenant, undefined, act)
    return { link: url, expiresAt }
  },
})

/** After how many logins that failed an account is locked. */
export const lockoutFailures = v.pipe(v.number(), v.integer(), v.minValue(3), v.maxValue(100))

export const setLockout = operation({
  name: 'lockout.set',
  summary: 'say after how many logins that failed an account is locked',
  http: { method: 'PUT', path: '/tenants/{tenant}/lockout' },
  right: 'tenant:write',
  input: v.strictObject({ ...tenantField, failures: lockoutFailures }),
  output: v.object({ failures: v.number() }),
  place: tenantPlace,
  async run({ relay: { people }, act }, { tenant, failures }) {
    await people.store.setLockoutAfter(tenant, failures, act)
    return { failures }
  },
})
