import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import { call, type ViewContext } from '../control-commands.ts'
import { setCopies, showCopies } from '../operations/copies.ts'
import { addFreeze, listFreezes, removeFreeze } from '../operations/freeze.ts'

interface Context extends CommandContext {
  readonly tenant: string
  readonly env: string
  readonly kind: string
  readonly name?: string
}

/** `sallyport relay freeze`. */
export async function freeze(options: Context & { reason?: string }): Promise<void> {
  const { kind, name, reason, output } = options
  const target = targetOf(options)
  const ended = await call(options, addFreeze, { ...target, ...(reason === undefined ? {} : { reason }) })
  output.result({ ...target, ...ended }, [
    `${kind} ${name ?? options.tenant} is frozen; streams ended: ${ended.streams}`,
    `next: sallyport relay unfreeze ${kind}${name === undefined ? '' : ` ${name}`}`,
  ])
}

/** `sallyport relay unfreeze`. */
export async function unfreeze(options: Context): Promise<void> {
  const target = targetOf(options)
  await call(options, removeFreeze, target)
  options.output.result(target, `${options.kind} ${options.name ?? options.tenant} works again`)
}

/** `sallyport relay frozen`. */
export async function frozen(options: ViewContext): Promise<void> {
  const items = await askAll((page) => call(options, listFreezes, page))
  options.output.result(
    { freezes: items },
    items.length === 0
      ? 'nothing is frozen'
      : items.map(({ kind, environment, name, reason, createdAt }) =>
          [kind, environment, name, `since ${new Date(createdAt).toISOString()}`, reason]
            .filter((part) => part !== '')
            .join('  '),
        ),
  )
}

/** `sallyport relay copies`. */
export async function copies({
  response,
  ...options
}: CommandContext & { readonly tenant: string; readonly response: string | undefined }): Promise<void> {
  const { tenant, output } = options
  if (response !== undefined) {
    await askRelay(options, setCopies, { tenant, response })
    output.result({ response }, `two of one agent: ${RESPONSES.get(response)}`)
    return
  }
  const answer = await askRelay(options, showCopies, { tenant })
  output.result(answer, [
    `two of one agent: ${RESPONSES.get(answer.response)}`,
    ...answer.copies.map(({ environment, site, agent, since, text }) =>
      [environment, site, agent, `since ${new Date(since).toISOString()}`, text].join('  '),
    ),
    ...(answer.copies.length === 0 ? ['none seen in 24 hours'] : ['next: sallyport relay revoke agent SITE']),
  ])
}

/** What is done, for people. */
const RESPONSES: ReadonlyMap<string, string> = new Map([
  ['alarm', 'a record and a warning'],
  ['freeze', 'a record, a warning, and their site is frozen'],
])

function targetOf({ kind, name }: Context) {
  return name === undefined ? { kind } : { kind, name }
}
