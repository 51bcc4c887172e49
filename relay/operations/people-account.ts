import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import {
  beginTotp,
  beginWebauthn,
  confirmTotp,
  confirmWebauthn,
  type PersonKey,
  renewRecoveryCodes,
} from '../people/factors.ts'
import { provePassword } from '../people/login.ts'
import { checkNewPassword } from '../people/password.ts'
import { registrationAnswer } from '../people/webauthn.ts'
import { ms, tenantField, tenantPlace, text } from './input.ts'
import { type OperationContext, operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

/** What a person does with the own account. */
const PATH = '/tenants/{tenant}/me'

/** Only people hold the right `self`. @throws {TunnelError} FORBIDDEN */
export function oneself({ caller }: Pick<OperationContext, 'caller'>): PersonKey {
  if (caller.kind !== 'person') throw new TunnelError('FORBIDDEN')
  return { tenantId: caller.tenantId, personId: caller.id }
}

const passwordText = v.pipe(v.string(), v.maxLength(2_048))

export const changePassword = operation({
  name: 'password.change',
  summary: 'set a new password; all sessions end, this one too',
  http: { method: 'POST', path: `${PATH}/password` },
  right: 'self',
  input: v.strictObject({ ...tenantField, current: passwordText, next: passwordText }),
  output: v.object({}),
  place: tenantPlace,
  async run(context, { current, next }) {
    const { people } = context.relay
    const { tenantId, personId } = oneself(context)
    const person = await people.store.findPerson(tenantId, personId)
    if (person === undefined) throw new TunnelError('LOGIN')
    await provePassword(people, { tenantId, login: person.login, password: new Secret(current) }, context.act)
    await checkNewPassword(next, person.login)
    await people.store.setPassword(
      tenantId,
      personId,
      await people.hasher.hash(new Secret(next)),
      context.act,
    )
    await people.enforcement.listeners.check(tenantId)
    return {}
  },
})

export const listFactors = operation({
  name: 'factor.list',
  summary: 'show the own second factors, and how many recovery codes are left',
  http: { method: 'GET', path: `${PATH}/factors` },
  right: 'self',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: v.object({
    ...pageOutput(v.object({ id: v.string(), kind: v.string(), name: v.string(), createdAt: ms })).entries,
    recoveryCodes: v.number(),
  }),
  place: tenantPlace,
  async run(context, page) {
    const { store } = context.relay.people
    const { tenantId, personId } = oneself(context)
    const factors = (await store.listFactors(tenantId, personId)).filter(({ isConfirmed }) => isConfirmed)
    const rows = factors.map(({ id, kind, name, createdAt }) => ({ id, kind, name, createdAt }))
    return {
      ...pageOf(rows, ({ id }) => id, page),
      recoveryCodes: await store.countRecoveryCodes(tenantId, personId),
    }
  },
})

const nameField = { name: v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(64)), 'second factor') }

export const beginTotpFactor = operation({
  name: 'totp.begin',
  summary: 'make a secret for a program that shows codes; it counts from its first right code on',
  http: { method: 'POST', path: `${PATH}/totp` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, ...nameField }),
  output: v.object({ id: v.string(), secret: v.string(), uri: v.string() }),
  place: tenantPlace,
  async run(context, { name }) {
    return beginTotp(context.relay.people, oneself(context), name, context.act)
  },
})

export const confirmTotpFactor = operation({
  name: 'totp.confirm',
  summary: 'show the first code; from then on logins ask for one',
  http: { method: 'POST', path: `${PATH}/totp/{factor}/confirm` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, factor: text, code: v.pipe(v.string(), v.maxLength(16)) }),
  output: v.object({}),
  place: tenantPlace,
  async run(context, { factor, code }) {
    await confirmTotp(context.relay.people, oneself(context), { id: factor, code }, context.act)
    return {}
  },
})

export const beginWebauthnFactor = operation({
  name: 'webauthn.begin',
  summary: "make the options for a browser's navigator.credentials.create()",
  http: { method: 'POST', path: `${PATH}/webauthn` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, ...nameField }),
  output: v.object({ id: v.string(), options: v.looseObject({ challenge: v.string() }) }),
  place: tenantPlace,
  async run(context, { name }) {
    const { id, options } = await beginWebauthn(context.relay.people, oneself(context), name)
    return { id, options: { ...options } }
  },
})

export const confirmWebauthnFactor = operation({
  name: 'webauthn.confirm',
  summary: 'hand in what the authenticator made; from then on logins ask for it',
  http: { method: 'POST', path: `${PATH}/webauthn/{factor}/confirm` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, factor: text, answer: registrationAnswer }),
  output: v.object({}),
  place: tenantPlace,
  async run(context, { factor, answer }) {
    await confirmWebauthn(context.relay.people, oneself(context), { id: factor, answer }, context.act)
    return {}
  },
})

export const removeFactor = operation({
  name: 'factor.remove',
  summary: 'remove one of the own second factors',
  http: { method: 'DELETE', path: `${PATH}/factors/{factor}` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject({ ...tenantField, factor: text }),
  output: v.object({}),
  place: tenantPlace,
  async run(context, { factor }) {
    const { store, enforcement } = context.relay.people
    const { tenantId, personId } = oneself(context)
    const others = (await store.listFactors(tenantId, personId)).filter(
      ({ id, isConfirmed }) => isConfirmed && id !== factor,
    )
    if (others.length === 0 && (await store.secondFactorSince(tenantId)) !== undefined) {
      throw new TunnelError('CONFLICT', 'It is the last, and the tenant demands one.', {
        next: 'add another first: sallyport account totp',
      })
    }
    if (!(await store.removeFactor(tenantId, personId, factor, context.act))) {
      throw new TunnelError('NOT_FOUND', 'There is no such factor.')
    }
    await enforcement.listeners.check(tenantId)
    return {}
  },
})

export const renewCodes = operation({
  name: 'recovery.renew',
  summary: 'make ten recovery codes that work once each, in the place of those before',
  http: { method: 'POST', path: `${PATH}/recovery-codes` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject(tenantField),
  output: v.object({ codes: v.array(v.string()) }),
  place: tenantPlace,
  async run(context) {
    return { codes: [...(await renewRecoveryCodes(context.relay.people, oneself(context), context.act))] }
  },
})
