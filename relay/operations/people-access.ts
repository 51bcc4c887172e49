import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { mayGive } from '../access/authorize.ts'
import { ROLES } from '../access/rights.ts'
import { approveDevice } from '../people/device-login.ts'
import { createKey, KEY_LIFE } from '../people/keys.ts'
import { endSession as endPersonSession, isAlive } from '../people/sessions.ts'
import { ms, tenantField, tenantPlace, text } from './input.ts'
import { operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'
import { roleOf, roleOutput } from './people.ts'
import { oneself } from './people-account.ts'

const PATH = '/tenants/{tenant}/me'

export const listSessions = operation({
  name: 'session.list',
  summary: 'show where one is logged in',
  http: { method: 'GET', path: `${PATH}/sessions` },
  right: 'self',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(
    v.object({
      session: v.string(),
      isThis: v.boolean(),
      carrier: v.string(),
      how: v.string(),
      source: v.string(),
      createdAt: ms,
      seenAt: ms,
    }),
  ),
  place: tenantPlace,
  async run(context, page) {
    const { caller, relay, act } = context
    const { tenantId, personId } = oneself(context)
    const sessions = await relay.people.store.listSessions(tenantId, personId)
    const own = caller.kind === 'operator' ? undefined : caller.sessionId
    const rows = sessions
      .filter((session) => isAlive(session, act.at))
      .map(({ id, carrier, how, source, createdAt, seenAt }) => ({
        ...{ session: id, isThis: id === own, carrier, how, source, createdAt, seenAt },
      }))
    return pageOf(rows, ({ session }) => session, page)
  },
})

export const endSession = operation({
  name: 'session.end',
  summary: 'end one of the own sessions',
  http: { method: 'DELETE', path: `${PATH}/sessions/{session}` },
  right: 'self',
  input: v.strictObject({ ...tenantField, session: text }),
  output: v.object({}),
  place: tenantPlace,
  async run(context, { session }) {
    const { people } = context.relay
    const { tenantId, personId } = oneself(context)
    const own = await people.store.listSessions(tenantId, personId)
    if (own.every(({ id }) => id !== session)) throw new TunnelError('NOT_FOUND', 'There is no such session.')
    await endPersonSession(people, { tenantId, sessionId: session }, context.act)
    return {}
  },
})

export const addKey = operation({
  name: 'key.add',
  summary: 'make a key with which a program acts for one; it may at most what one may oneself',
  http: { method: 'POST', path: `${PATH}/keys` },
  right: 'self',
  isDangerous: true,
  input: v.strictObject({
    ...tenantField,
    name: v.pipe(v.string(), v.minLength(1), v.maxLength(64)),
    lifeMs: v.optional(
      v.pipe(v.number(), v.integer(), v.minValue(KEY_LIFE.min), v.maxValue(KEY_LIFE.max)),
      KEY_LIFE.usual,
    ),
    roles: v.pipe(
      v.array(
        v.strictObject({
          role: v.picklist(ROLES),
          environment: v.optional(text),
          site: v.optional(text),
          viaApi: v.optional(v.boolean(), false),
        }),
      ),
      v.minLength(1),
      v.maxLength(20),
    ),
  }),
  output: v.object({ id: v.string(), key: v.string(), expiresAt: ms }),
  place: tenantPlace,
  async run(context, { name, lifeMs, roles }) {
    const { caller, relay, act } = context
    const { tenantId, personId } = oneself(context)
    const assignments = roles.map((role) => ({
      ...{ tenantId, role: role.role, environment: role.environment, site: role.site, viaApi: role.viaApi },
    }))
    if (!assignments.every((one) => mayGive(caller, one))) {
      throw new TunnelError('FORBIDDEN', 'A key may at most what you may yourself.')
    }
    return createKey(relay.people, { tenantId, personId, name, assignments, lifeMs }, act)
  },
})

export const listKeys = operation({
  name: 'key.list',
  summary: 'show the own keys',
  http: { method: 'GET', path: `${PATH}/keys` },
  right: 'self',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(
    v.object({
      id: v.string(),
      name: v.string(),
      createdAt: ms,
      expiresAt: ms,
      roles: v.array(roleOutput),
    }),
  ),
  place: tenantPlace,
  async run(context, page) {
    const { tenantId, personId } = oneself(context)
    const keys = await context.relay.people.store.listKeys(tenantId, personId)
    const rows = keys.map(({ id, name, createdAt, expiresAt, assignments }) => ({
      ...{ id, name, createdAt, expiresAt, roles: assignments.map(roleOf) },
    }))
    return pageOf(rows, ({ id }) => id, page)
  },
})

export const removeKey = operation({
  name: 'key.remove',
  summary: 'revoke one of the own keys',
  http: { method: 'DELETE', path: `${PATH}/keys/{key}` },
  right: 'self',
  input: v.strictObject({ ...tenantField, key: text }),
  output: v.object({}),
  place: tenantPlace,
  async run(context, { key }) {
    const { store, enforcement } = context.relay.people
    const { tenantId, personId } = oneself(context)
    if (!(await store.removeKey(tenantId, personId, key, context.act))) {
      throw new TunnelError('NOT_FOUND', 'There is no such key.')
    }
    await enforcement.listeners.check(tenantId)
    return {}
  },
})

const codeInput = v.strictObject({ ...tenantField, code: v.pipe(v.string(), v.maxLength(32)) })

export const showDevice = operation({
  name: 'device.show',
  summary: 'show from where a command line asks to be let in',
  http: { method: 'GET', path: `${PATH}/devices/{code}` },
  right: 'self',
  input: codeInput,
  output: v.object({ source: v.string(), askedAt: ms }),
  place: tenantPlace,
  async run(context, { code }) {
    const { source, askedAt } = context.relay.people.devices.find(oneself(context).tenantId, code)
    return { source, askedAt }
  },
})

export const letDeviceIn = operation({
  name: 'device.approve',
  summary: 'let a command line in that shows this code; it acts as oneself',
  http: { method: 'POST', path: `${PATH}/devices/{code}/approve` },
  right: 'self',
  isDangerous: true,
  input: codeInput,
  output: v.object({}),
  place: tenantPlace,
  async run(context, { code }) {
    const { caller, relay, act } = context
    const request = { ...oneself(context), userCode: code }
    const session = caller.kind === 'operator' ? undefined : caller.sessionId
    const sessions = await relay.people.store.listSessions(request.tenantId, request.personId)
    const approving = sessions.find(({ id }) => id === session)
    if (approving === undefined) throw new TunnelError('LOGIN')
    const { authenticatedAt, hasSecondFactor } = approving
    approveDevice(relay.people, request, { authenticatedAt, hasSecondFactor }, act)
    return {}
  },
})
