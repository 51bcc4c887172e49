import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'
import { type ApiCaller, SESSION_COOKIE } from '../api/caller.ts'
import { cookie } from '../api/cookie.ts'
import { type OpenAnswer, openRoute } from '../api/open-route.ts'
import { addressKey } from '../gateway/admission.ts'
import { ms, tenantField } from '../operations/input.ts'
import { approvedSession } from './device-login.ts'
import { factorAnswer } from './factors.ts'
import { spendLink } from './links.ts'
import { provePassword } from './login.ts'
import { normalLogin } from './login-name.ts'
import { answerPending, type LoginState, proceed } from './pending.ts'
import { actOf, type Origin, type People } from './people.ts'
import { endSession, type OpenedSession, SESSION_LIFE } from './sessions.ts'

/** A secret of a request; what is longer than any of ours is refused before it costs a hash. */
const secretText = v.pipe(
  v.string(),
  v.maxLength(2_048),
  v.transform((text) => new Secret(text)),
)

const loginName = v.pipe(v.string(), v.maxLength(256), v.transform(normalLogin))

/** Browsers keep sessions as cookies; a command line gets the token in the answer. */
const carrier = v.optional(v.picklist(['cookie', 'bearer']), 'cookie')

const completeOutput = v.object({
  state: v.literal('complete'),
  expiresAt: ms,
  /** For a bearer only; a browser has it as a cookie that no script reads. */
  token: v.optional(v.string()),
})

const loginOutput = v.variant('state', [
  completeOutput,
  v.object({
    state: v.literal('second-factor'),
    pending: v.string(),
    methods: v.array(v.picklist(['totp', 'webauthn', 'recovery'])),
    /** What `navigator.credentials.get()` takes, in its JSON form. */
    webauthn: v.optional(v.looseObject({ challenge: v.string() })),
  }),
])

function completed({
  token,
  session,
  expiresAt,
}: OpenedSession): OpenAnswer<v.InferOutput<typeof completeOutput>> {
  const body = { state: 'complete', expiresAt } as const
  if (session.carrier === 'bearer') return { body: { ...body, token: token.reveal() } }
  return { body, cookies: [sessionCookie(token, SESSION_LIFE.absoluteMs / 1_000)] }
}

/** The cookie that carries a session: see relay/api/cookie.ts for what it keeps away. */
export function sessionCookie(token: Secret<string>, maxAgeS: number): string {
  return cookie({ name: SESSION_COOKIE, value: token, maxAgeS })
}

function answerOf(reached: LoginState): OpenAnswer<v.InferOutput<typeof loginOutput>> {
  if (reached.state === 'complete') return completed(reached.opened)
  const { methods, webauthn, ...rest } = reached
  const options = webauthn === undefined ? {} : { webauthn: { ...webauthn } }
  return { body: { ...rest, methods: [...methods], ...options } }
}

export const logInRoute = openRoute({
  name: 'session.login',
  summary: 'log in by name and password',
  http: { method: 'POST', path: '/session' },
  authentication: 'password in the body',
  input: v.strictObject({ ...tenantField, login: loginName, password: secretText, carrier }),
  output: loginOutput,
  async answer({ relay: { people }, input, origin, caller }) {
    const { tenant, login, password, carrier } = input
    const proved = await provePassword(people, { tenantId: tenant, login, password }, origin)
    const reached = await proceed(people, proved, { kind: 'login', carrier }, origin)
    // A session that the browser had before must not live on beside the new one.
    if (reached.state === 'complete') await leave(people, caller, origin)
    return answerOf(reached)
  },
})

/** Ends the session by which somebody has asked, where there is one. */
async function leave(people: People, caller: ApiCaller | undefined, origin: Origin): Promise<void> {
  if (caller?.sessionId === undefined) return
  const { tenantId, sessionId, id } = caller
  await endSession(people, { tenantId, sessionId }, actOf(people, id, origin))
}

export const secondFactorRoute = openRoute({
  name: 'session.second-factor',
  summary: 'end a login by the second factor',
  http: { method: 'POST', path: '/session/second-factor' },
  authentication: 'second factor in the body',
  input: v.strictObject({ pending: v.pipe(v.string(), v.maxLength(256)), answer: factorAnswer }),
  output: completeOutput,
  async answer({ relay: { people }, input, origin }) {
    return completed(await answerPending(people, input.pending, input.answer, origin))
  },
})

export const confirmRoute = openRoute({
  name: 'session.confirm',
  summary: 'show the password again, before something dangerous',
  http: { method: 'POST', path: '/session/confirm' },
  authentication: 'session, and password in the body',
  input: v.strictObject({ password: secretText }),
  output: loginOutput,
  async answer({ relay: { people }, input, origin, caller }) {
    if (caller?.sessionId === undefined) throw new TunnelError('LOGIN')
    const { tenantId, id, sessionId } = caller
    const person = await people.store.findPerson(tenantId, id)
    if (person === undefined) throw new TunnelError('LOGIN')
    const login = { tenantId, login: person.login, password: input.password }
    const proved = await provePassword(people, login, origin)
    return answerOf(await proceed(people, proved, { kind: 'confirm', sessionId }, origin))
  },
})

export const logOutRoute = openRoute({
  name: 'session.logout',
  summary: 'end the session',
  http: { method: 'POST', path: '/session/logout' },
  authentication: 'session, where there is one',
  input: v.strictObject({}),
  output: v.object({}),
  async answer({ relay: { people }, origin, caller }) {
    await leave(people, caller, origin)
    return { body: {}, cookies: [sessionCookie(new Secret(''), 0)] }
  },
})

export const spendLinkRoute = openRoute({
  name: 'link.spend',
  summary: 'set a password by a link that works once; the first owner of a tenant chooses a login name, too',
  http: { method: 'POST', path: '/links/spend' },
  authentication: 'link in the body',
  input: v.strictObject({
    link: v.pipe(v.string(), v.maxLength(1_024)),
    password: secretText,
    login: v.optional(v.pipe(v.string(), v.maxLength(256))),
  }),
  output: v.object({}),
  async answer({ relay: { people }, input, origin }) {
    const { link, password, login } = input
    await spendLink(people, { link, password, login }, origin)
    return { body: {} }
  },
})

export const beginDeviceRoute = openRoute({
  name: 'device.begin',
  summary: 'ask for a code by which a person lets a command line in',
  http: { method: 'POST', path: '/devices' },
  authentication: 'none: a person approves the code',
  input: v.strictObject(tenantField),
  output: v.object({ deviceCode: v.string(), userCode: v.string(), expiresInMs: ms, intervalMs: ms }),
  async answer({ relay: { people }, input, origin }) {
    people.gate.passAddress(addressKey(origin.source), people.effects.now())
    return { body: people.devices.begin(input.tenant, origin.source) }
  },
})

export const pollDeviceRoute = openRoute({
  name: 'device.poll',
  summary: 'ask whether a person has let the command line in',
  http: { method: 'POST', path: '/devices/token' },
  authentication: 'device code in the body',
  input: v.strictObject({ deviceCode: v.pipe(v.string(), v.maxLength(256)) }),
  output: v.variant('state', [v.object({ state: v.literal('waiting') }), completeOutput]),
  async answer({ relay: { people }, input, origin }) {
    const opened = await approvedSession(people, input.deviceCode, origin)
    return opened === undefined ? { body: { state: 'waiting' as const } } : completed(opened)
  },
})
