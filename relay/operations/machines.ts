import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { parseName } from '../../shared/identity/names.ts'
import { formatId } from '../../shared/identity/subject.ts'
import { mayGive } from '../access/authorize.ts'
import { ROLES } from '../access/rights.ts'
import type { Act } from '../audit/record.ts'
import { makeToken } from '../people/token.ts'
import type { MachineRecord, MachineStore } from '../store/machine-queries.ts'
import { ms, placeOf, tenantField, tenantPlace, text, viewFields } from './input.ts'
import { operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/tenants/{tenant}/machines'

export const addMachine = operation({
  name: 'machine.add',
  summary: 'let a program ask the API in a role, by a secret that is shown once',
  http: { method: 'POST', path: PATH },
  right: 'people:write',
  isDangerous: true,
  input: v.strictObject({
    ...viewFields,
    site: v.optional(text),
    machine: text,
    role: v.picklist(ROLES),
    /** It counts in environments that are marked as production. */
    viaApi: v.optional(v.boolean(), false),
  }),
  output: v.object({ clientId: v.string(), clientSecret: v.string() }),
  place: placeOf,
  async run({ relay, caller, act }, { tenant, environment, site, machine, role, viaApi }) {
    if (site !== undefined && environment === undefined) {
      throw new TunnelError('USAGE', 'A site is one of an environment: name that, too.')
    }
    const assignment = { tenantId: tenant, environment, site, role, viaApi }
    if (!mayGive(caller, assignment)) {
      throw new TunnelError('FORBIDDEN', 'Nobody gives rights that he does not hold himself.')
    }
    return makeMachine(relay.authority, { name: parseName(machine, 'machine'), assignment }, act)
  },
})

/** Adds a machine. @returns by what it gets tokens: the secret is not kept */
export async function makeMachine(
  { store, effects }: { readonly store: Pick<MachineStore, 'addMachine'>; readonly effects: Effects },
  { name, assignment }: Pick<MachineRecord, 'name' | 'assignment'>,
  act: Act,
): Promise<{ clientId: string; clientSecret: string }> {
  const id = formatId(effects.randomBytes(16))
  const secret = makeToken('machine', assignment.tenantId, effects)
  await store.addMachine(assignment.tenantId, { id, name, assignment, hash: secret.hash }, act)
  return { clientId: id, clientSecret: secret.text.reveal() }
}

export const revokeMachine = operation({
  name: 'machine.revoke',
  summary: 'end a machine for good; its tokens are of no use from now on',
  http: { method: 'POST', path: `${PATH}/{machine}/revoke` },
  right: 'people:write',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, machine: text }),
  output: v.object({}),
  place: tenantPlace,
  async run({ relay, act }, { tenant, machine }) {
    const { store } = relay.authority
    const all = await store.listMachines(tenant)
    const found = all.find(
      ({ id, name, revokedAt }) => revokedAt === undefined && (id === machine || name === machine),
    )
    if (found === undefined || !(await store.revokeMachine(tenant, found.id, act))) {
      throw new TunnelError('NOT_FOUND', `There is no machine ${machine}.`, {
        next: 'sallyport relay machine list',
      })
    }
    await relay.enforce(tenant)
    return {}
  },
})

export const listMachines = operation({
  name: 'machine.list',
  summary: 'show the programs that may ask the API, and as what',
  http: { method: 'GET', path: PATH },
  right: 'people:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(
    v.object({
      machine: v.string(),
      clientId: v.string(),
      role: v.picklist(ROLES),
      environment: v.optional(v.string()),
      site: v.optional(v.string()),
      viaApi: v.boolean(),
      createdAt: ms,
    }),
  ),
  place: tenantPlace,
  async run({ relay }, { tenant, ...page }) {
    const all = await relay.authority.store.listMachines(tenant)
    const rows = all.flatMap(({ id, name, assignment, createdAt, revokedAt }) => {
      const { role, environment, site, viaApi = false } = assignment
      if (revokedAt !== undefined) return []
      return {
        ...{ machine: name, clientId: id, role, viaApi, createdAt },
        ...(environment === undefined ? {} : { environment }),
        ...(site === undefined ? {} : { site }),
      }
    })
    return pageOf(rows, ({ machine }) => machine, page)
  },
})
