import { readFile } from 'node:fs/promises'
import * as v from 'valibot'
import type { ActionContext } from '../shared/cli/action.ts'
import { SecretPrompt } from '../shared/cli/ask-secret.ts'
import { callRemote, type RemoteRelay } from '../shared/cli/remote-call.ts'
import {
  formatRelayUrl,
  loginDirectory,
  parseRelayUrl,
  readLogin,
  removeLogin,
  writeLogin,
} from '../shared/cli/remote-login.ts'
import { readSecret } from '../shared/cli/secret-input.ts'
import { realEffects } from '../shared/effects.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import { Secret } from '../shared/secret.ts'
import type { OpenRoute } from './api/open-route.ts'
import { API_PREFIX } from './api/routes.ts'
import { listEnvironments } from './operations/tenants.ts'
import {
  beginDeviceRoute,
  logInRoute,
  logOutRoute,
  pollDeviceRoute,
  secondFactorRoute,
  spendLinkRoute,
} from './people/routes.ts'
import { remoteRequest } from './remote-request.ts'

/** Largest CA file, in bytes. */
const CA_MAX_BYTES = 16_384

interface RelayFlags {
  readonly relay: string
  readonly ca?: string
}

export interface LoginFlags extends RelayFlags {
  readonly tenant: string
  readonly name?: string
  readonly keyFile?: string
}

/** `sallyport login`. */
export async function login(context: ActionContext, flags: LoginFlags): Promise<void> {
  const { output } = context
  if (flags.name !== undefined && flags.keyFile !== undefined) {
    throw new TunnelError('USAGE', 'Say --name or --key-file, or neither for a code.')
  }
  const relay = await relayOf(flags)
  const { token, expiresAt } = await tokenFor(context, relay, flags)
  const { address, ca } = relay
  await writeLogin(loginDirectory(process.env), { address, token, ca, person: flags.name, expiresAt })
  const url = formatRelayUrl(address)
  output.result(
    { event: 'login', relay: url, expiresAt },
    `logged in at ${url}${expiresAt === undefined ? '' : `, until ${new Date(expiresAt).toISOString()} at the latest`}`,
  )
}

interface Token {
  readonly token: Secret<string>
  readonly expiresAt?: number | undefined
}

function tokenFor(context: ActionContext, relay: RemoteRelay, flags: LoginFlags): Promise<Token> {
  if (flags.keyFile !== undefined) return byKey(context, relay, flags, flags.keyFile)
  return flags.name === undefined
    ? byCode(context, relay, flags)
    : byPassword(context, relay, flags, flags.name)
}

async function byKey(
  { signal, terminal }: ActionContext,
  relay: RemoteRelay,
  { tenant }: LoginFlags,
  file: string,
): Promise<Token> {
  const token = await readSecret(file, { stdin: terminal.stdin, signal })
  // Whatever the key may do: what it is refused with tells whether the relay knows it.
  await callRemote({ ...relay, token }, remoteRequest(listEnvironments, { tenant }), { signal }).catch(
    (error: unknown) => {
      if (!isTunnelError(error) || (error.code !== 'FORBIDDEN' && error.code !== 'NOT_FOUND')) throw error
    },
  )
  return { token }
}

async function byPassword(
  { signal, terminal }: ActionContext,
  relay: RemoteRelay,
  { tenant }: LoginFlags,
  name: string,
): Promise<Token> {
  using prompt = new SecretPrompt(terminal)
  const password = (await prompt.ask('Password', signal)).reveal()
  const first = await callOpen(
    relay,
    logInRoute,
    { tenant, login: name, password, carrier: 'bearer' },
    signal,
  )
  if (first.state === 'complete') return tokenOf(first)
  if (!first.methods.some((method) => method !== 'webauthn')) {
    throw new TunnelError('LOGIN', 'The second factor is a key, which works in browsers only.', {
      next: `log in by a code: sallyport login --relay ${formatRelayUrl(relay.address)}`,
    })
  }
  const code = (await prompt.ask('Code', signal)).reveal()
  const kind = /^\d{6}$/.test(code.replaceAll(' ', '')) ? 'totp' : 'recovery'
  const { pending } = first
  return tokenOf(await callOpen(relay, secondFactorRoute, { pending, answer: { kind, code } }, signal))
}

async function byCode(
  { signal, output }: ActionContext,
  relay: RemoteRelay,
  { tenant }: LoginFlags,
): Promise<Token> {
  const { deviceCode, userCode, expiresInMs, intervalMs } = await callOpen(
    relay,
    beginDeviceRoute,
    { tenant },
    signal,
  )
  const url = formatRelayUrl(relay.address)
  output.result({ event: 'code', code: userCode, relay: url, tenant }, [
    `code ${userCode}`,
    `let it in where you are logged in: sallyport account approve ${userCode} --relay ${url}`,
  ])
  const until = realEffects.now() + expiresInMs
  while (realEffects.now() < until) {
    await realEffects.sleep(intervalMs, signal)
    const answer = await callOpen(relay, pollDeviceRoute, { deviceCode }, signal)
    if (answer.state === 'complete') return tokenOf(answer)
  }
  throw new TunnelError('LOGIN', 'Nobody has let it in.')
}

function tokenOf({
  token,
  expiresAt,
}: {
  readonly token?: string | undefined
  readonly expiresAt: number
}): Token {
  if (token === undefined) throw new TunnelError('PROTOCOL', 'The relay has given no token.')
  return { token: new Secret(token), expiresAt }
}

/** `sallyport logout`. */
export async function logout(
  { signal, output }: ActionContext,
  flags: { readonly relay: string },
): Promise<void> {
  const address = parseRelayUrl(flags.relay)
  const directory = loginDirectory(process.env)
  const stored = await readLogin(directory, address)
  try {
    await callOpen(stored, logOutRoute, {}, signal)
  } finally {
    // Also where the relay cannot be reached: the session there ends by itself.
    await removeLogin(directory, address)
  }
  output.result(
    { event: 'logout', relay: formatRelayUrl(address) },
    `logged out at ${formatRelayUrl(address)}`,
  )
}

/** `sallyport set-password`. */
export async function setPassword(
  { signal, output, terminal }: ActionContext,
  flags: { readonly ca?: string; readonly name?: string },
): Promise<void> {
  using prompt = new SecretPrompt(terminal)
  const link = (await prompt.ask('Link', signal)).reveal()
  const relay = await relayOf({
    ...flags,
    relay: `${link.slice(0, Math.max(link.indexOf('/set-password#'), 0))}/`,
  })
  const password = (await prompt.ask('New password', signal)).reveal()
  const name = flags.name === undefined ? {} : { login: flags.name }
  await callOpen(relay, spendLinkRoute, { link, password, ...name }, signal)
  const url = formatRelayUrl(relay.address)
  output.result(
    { event: 'password', relay: url },
    `the password is set; next: sallyport login --relay ${url} --name NAME`,
  )
}

async function relayOf({ relay, ca }: RelayFlags): Promise<RemoteRelay> {
  const address = parseRelayUrl(relay)
  if (ca === undefined) return { address }
  const text = await readFile(ca, 'utf8').catch((cause: unknown) => {
    throw new TunnelError('USAGE', `${ca} cannot be read.`, { cause })
  })
  if (text.length > CA_MAX_BYTES || !text.includes('-----BEGIN CERTIFICATE-----')) {
    throw new TunnelError('USAGE', `${ca} holds no certificate in PEM.`)
  }
  return { address, ca: text }
}

async function callOpen<Output extends object>(
  relay: RemoteRelay,
  { http, output }: Pick<OpenRoute<never, Output>, 'http' | 'output'>,
  body: object,
  signal: AbortSignal,
): Promise<Output> {
  const { method, path } = http
  const parsed = v.safeParse(
    output,
    await callRemote(relay, { method, path: `${API_PREFIX}${path}`, body }, { signal }),
  )
  if (!parsed.success)
    throw new TunnelError('PROTOCOL', 'The relay answered in a form that this command does not know.')
  return parsed.output
}
