import type { ActionContext } from '../shared/cli/action.ts'
import { SecretPrompt } from '../shared/cli/ask-secret.ts'
import { parseDuration } from '../shared/config/duration.ts'
import { writePrivateFile } from '../shared/config/private-file.ts'
import { askAll } from './ask-all.ts'
import { askRelay, type CommandContext } from './ask-relay.ts'
import {
  addKey,
  endSession,
  letDeviceIn,
  listKeys,
  listSessions,
  removeKey,
  showDevice,
} from './operations/people-access.ts'
import {
  beginTotpFactor,
  changePassword,
  confirmTotpFactor,
  listFactors,
  removeFactor,
  renewCodes,
} from './operations/people-account.ts'
import { KEY_LIFE } from './people/keys.ts'

/** Of every command about the own account: only who has logged in at a relay has one. */
export interface AccountFlags {
  readonly relay: string
  readonly tenant: string
}

function asking({ signal, output }: ActionContext, { relay }: AccountFlags): CommandContext {
  return { data: '', relay, signal, output }
}

/** `sallyport account show`. */
export async function show(context: ActionContext, flags: AccountFlags): Promise<void> {
  const { tenant } = flags
  const of = asking(context, flags)
  let recoveryCodes = 0
  const factors = await askAll(async (page) => {
    const answer = await askRelay(of, listFactors, { tenant, ...page })
    recoveryCodes = answer.recoveryCodes
    return answer
  })
  const sessions = await askAll((page) => askRelay(of, listSessions, { tenant, ...page }))
  const keys = await askAll((page) => askRelay(of, listKeys, { tenant, ...page }))
  context.output.result({ factors, recoveryCodes, sessions, keys }, [
    ...factors.map(({ id, kind, name }) => `factor   ${id}  ${kind}  ${name}`),
    `recovery codes left: ${recoveryCodes}`,
    ...sessions.map(
      ({ session, isThis, carrier, how, source }) =>
        `session  ${session}  ${carrier}  ${how}  from ${source}${isThis ? '  (this one)' : ''}`,
    ),
    ...keys.map(
      ({ id, name, expiresAt }) => `key      ${id}  ${name}  until ${new Date(expiresAt).toISOString()}`,
    ),
  ])
}

/** `sallyport account approve`. */
export async function approve(context: ActionContext, code: string, flags: AccountFlags): Promise<void> {
  const { tenant } = flags
  const { source } = await askRelay(asking(context, flags), showDevice, { tenant, code })
  await askRelay(asking(context, flags), letDeviceIn, { tenant, code })
  context.output.result({ code, source }, `the command line at ${source} is let in, as you`)
}

/** `sallyport account end-session`. */
export async function dropSession(context: ActionContext, id: string, flags: AccountFlags): Promise<void> {
  await askRelay(asking(context, flags), endSession, { tenant: flags.tenant, session: id })
  context.output.result({ session: id }, `session ${id} has ended`)
}

/** `sallyport account password`. */
export async function password(context: ActionContext, flags: AccountFlags): Promise<void> {
  using prompt = new SecretPrompt(context.terminal)
  const current = (await prompt.ask('Password', context.signal)).reveal()
  const next = (await prompt.ask('New password', context.signal)).reveal()
  await askRelay(asking(context, flags), changePassword, { tenant: flags.tenant, current, next })
  context.output.result(
    { event: 'password' },
    'the password is set; all your sessions have ended: log in again',
  )
}

/** `sallyport account totp`. */
export async function totp(
  context: ActionContext,
  flags: AccountFlags & { readonly name: string },
): Promise<void> {
  const { tenant, name } = flags
  const begun = await askRelay(asking(context, flags), beginTotpFactor, { tenant, name })
  context.output.result({ event: 'secret', ...begun }, [`secret ${begun.secret}`, begun.uri])
  using prompt = new SecretPrompt(context.terminal)
  const code = (await prompt.ask('Code', context.signal)).reveal()
  await askRelay(asking(context, flags), confirmTotpFactor, { tenant, factor: begun.id, code })
  context.output.result({ event: 'factor', id: begun.id }, [
    'from now on a login asks for a code',
    `next: sallyport account recovery-codes --relay ${flags.relay}`,
  ])
}

/** `sallyport account recovery-codes`. */
export async function recoveryCodes(context: ActionContext, flags: AccountFlags): Promise<void> {
  const { codes } = await askRelay(asking(context, flags), renewCodes, { tenant: flags.tenant })
  context.output.result({ codes }, [...codes, 'each works once; those before work no more'])
}

/** `sallyport account remove-factor`. */
export async function dropFactor(context: ActionContext, id: string, flags: AccountFlags): Promise<void> {
  await askRelay(asking(context, flags), removeFactor, { tenant: flags.tenant, factor: id })
  context.output.result({ factor: id }, `factor ${id} is gone`)
}

export interface KeyFlags extends AccountFlags {
  readonly role: string
  readonly env?: string
  readonly site?: string
  readonly viaApi?: boolean
  readonly ttl: string
  readonly out?: string
}

/** `sallyport account key add`. */
export async function keyAdd(context: ActionContext, name: string, flags: KeyFlags): Promise<void> {
  const { tenant, role, env: environment, site, viaApi = false, ttl } = flags
  const place = {
    ...(environment === undefined ? {} : { environment }),
    ...(site === undefined ? {} : { site }),
  }
  const params = { tenant, name, lifeMs: parseDuration(ttl, KEY_LIFE), roles: [{ role, ...place, viaApi }] }
  const { id, key, expiresAt } = await askRelay(asking(context, flags), addKey, params)
  const file = flags.out ?? `${name}.key`
  await writePrivateFile(file, `${key}\n`)
  context.output.result({ id, file, expiresAt }, [
    `${file} holds the key ${name}, good until ${new Date(expiresAt).toISOString()}; keep it secret`,
    `next: sallyport login --relay ${flags.relay} --key-file ${file}`,
  ])
}

/** `sallyport account key remove`. */
export async function keyRemove(context: ActionContext, id: string, flags: AccountFlags): Promise<void> {
  await askRelay(asking(context, flags), removeKey, { tenant: flags.tenant, key: id })
  context.output.result({ key: id }, `key ${id} is revoked`)
}
