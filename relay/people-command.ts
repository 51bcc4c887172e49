import { askRelay, type CommandContext } from './ask-relay.ts'
import {
  addPerson,
  grantRole,
  listPeople,
  makeSetupLink,
  removePerson,
  resetPerson,
  revokeRole,
  setLockout,
  unlockPerson,
} from './operations/people.ts'
import { setSecondFactor, showSecondFactor } from './operations/second-factor.ts'

interface Context extends CommandContext {
  readonly tenant: string
}

/** `sallyport relay setup-link`. */
export async function setupLink(context: Context): Promise<void> {
  const { link, expiresAt } = await askRelay(context, makeSetupLink, { tenant: context.tenant })
  context.output.result({ link, expiresAt }, setupText(link))
}

/** What a relay without an owner says. */
export function setupText(link: string): string[] {
  return [
    `the first owner is made by ${link}`,
    'next: sallyport set-password --name NAME, which reads this link',
  ]
}

/** `sallyport relay person add`. */
export async function personAdd({ name, ...context }: Context & { name: string }): Promise<void> {
  const answer = await askRelay(context, addPerson, { tenant: context.tenant, login: name })
  context.output.result(answer, linkText(answer.login, answer.link))
}

/** `sallyport relay person reset`. */
export async function personReset({
  name,
  clearFactors = false,
  ...context
}: Context & { name: string; clearFactors?: boolean }): Promise<void> {
  const answer = await askRelay(context, resetPerson, { tenant: context.tenant, person: name, clearFactors })
  context.output.result(answer, linkText(answer.login, answer.link))
}

function linkText(login: string, link: string): string[] {
  return [
    `${login} sets a password by ${link}`,
    'it works once, for an hour; hand it over by a way that you trust',
  ]
}

/** `sallyport relay person list`. */
export async function personList(context: Context): Promise<void> {
  let cursor: string | undefined
  do {
    const page = await askRelay(context, listPeople, {
      tenant: context.tenant,
      ...(cursor === undefined ? {} : { cursor }),
    })
    for (const person of page.items) {
      const roles = person.roles.map(({ role, environment, site }) =>
        [role, environment, site].filter(Boolean).join('/'),
      )
      const state = person.lockedAt === undefined ? '' : '  LOCKED'
      const factors = person.factors.length === 0 ? 'no second factor' : person.factors.join(' ')
      context.output.result(person, `${person.login}  ${roles.join(' ') || 'no role'}  ${factors}${state}`)
    }
    cursor = page.next
  } while (cursor !== undefined)
}

/** `sallyport relay person remove`. */
export async function personRemove({ name, ...context }: Context & { name: string }): Promise<void> {
  const { login } = await askRelay(context, removePerson, { tenant: context.tenant, person: name })
  context.output.result({ login }, `${login} is gone, with all sessions and keys`)
}

/** `sallyport relay person unlock`. */
export async function personUnlock({ name, ...context }: Context & { name: string }): Promise<void> {
  const { login } = await askRelay(context, unlockPerson, { tenant: context.tenant, person: name })
  context.output.result({ login }, `${login} may log in again`)
}

export interface RoleFlags {
  readonly env?: string
  readonly site?: string
  readonly viaApi?: boolean
}

/** `sallyport relay role grant` and `revoke`. */
export async function changeRole(
  options: Context &
    RoleFlags & { readonly verb: 'grant' | 'revoke'; readonly name: string; readonly role: string },
): Promise<void> {
  const { tenant, verb, name: person, role, env, site, viaApi, output } = options
  const place = {
    ...(env === undefined ? {} : { environment: env }),
    ...(site === undefined ? {} : { site }),
  }
  const params = { tenant, person, role, ...place }
  if (verb === 'grant') await askRelay(options, grantRole, viaApi === true ? { ...params, viaApi } : params)
  else await askRelay(options, revokeRole, params)
  const where = [tenant, env, site].filter(Boolean).join('/')
  output.result(
    { person, role, where, verb },
    `${person} is ${verb === 'grant' ? '' : 'no longer '}${role} of ${where}`,
  )
}

/** `sallyport relay lockout`. */
export async function lockout({ failures, ...context }: Context & { failures: number }): Promise<void> {
  await askRelay(context, setLockout, { tenant: context.tenant, failures })
  context.output.result(
    { failures },
    `accounts of ${context.tenant} are locked after ${failures} logins that failed`,
  )
}

/** `sallyport relay second-factor`. */
export async function secondFactor({
  isDemanded: wish,
  ...context
}: Context & { isDemanded: boolean | undefined }): Promise<void> {
  const { tenant, output } = context
  const answer =
    wish === undefined
      ? await askRelay(context, showSecondFactor, { tenant })
      : await askRelay(context, setSecondFactor, { tenant, isDemanded: wish })
  output.result(
    answer,
    answer.isDemanded
      ? [
          `people of ${tenant} need a second factor; without one they reach their own account only`,
          'who has none: sallyport account totp',
        ]
      : `people of ${tenant} may do without a second factor`,
  )
}
