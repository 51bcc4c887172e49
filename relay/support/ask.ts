import { parseDuration } from '../../shared/config/duration.ts'
import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import { call } from '../control-commands.ts'
import { addSupport, listSupport, revokeSupport, SUPPORT_MAX_MS } from '../operations/support.ts'

interface Context extends CommandContext {
  readonly tenant: string
}

/** `sallyport relay support add`. */
export async function supportAdd(
  options: Context & {
    person: string
    role: string
    for: string
    reason: string
    env?: string
    site?: string
    now: number
  },
): Promise<void> {
  const { person, role, reason, site, output } = options
  const endsAt = options.now + parseDuration(options.for, { min: 60_000, max: SUPPORT_MAX_MS })
  const where = site === undefined ? {} : { site }
  const { support } = await call(options, addSupport, { person, role, reason, endsAt, ...where })
  output.result({ support, person, role, endsAt }, [
    `${person} may help as ${role} until ${new Date(endsAt).toISOString()}`,
    `next: sallyport relay support revoke ${support}`,
  ])
}

/** `sallyport relay support revoke`. */
export async function supportRevoke(options: Context & { support: string }): Promise<void> {
  const { tenant, support, output } = options
  await askRelay(options, revokeSupport, { tenant, support })
  output.result({ support }, 'revoked')
}

/** `sallyport relay support list`. */
export async function supportList(options: Context): Promise<void> {
  const { tenant, output } = options
  const items = await askAll((page) => askRelay(options, listSupport, { tenant, ...page }))
  output.result(
    { support: items },
    items.length === 0
      ? 'nobody helps here'
      : items.map(
          ({ support, state, person, role, environment = '(all)', site = '', endsAt, giver, reason }) =>
            `${support}  ${state}  ${person} as ${role}  ${environment} ${site}  until ${new Date(endsAt).toISOString()}, by ${giver}: ${reason}`,
        ),
  )
}
