import { readFile, stat } from 'node:fs/promises'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { TunnelError } from '../../shared/errors.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import {
  addProvider,
  checkProvider,
  listProviders,
  removeProvider,
  updateProvider,
} from '../operations/sso.ts'

/** Most bytes of a file with settings: certificates and rules are small. */
const FILE_MAX_BYTES = 262_144

interface Context extends CommandContext {
  readonly tenant: string
}

type Shown = Awaited<ReturnType<typeof askList>>['items'][number]

/** `sallyport relay sso add` and `update`. */
export async function ssoWrite(
  options: Context & { verb: 'add' | 'update'; name: string; file: string; secret?: string },
): Promise<void> {
  const { verb, name, file, tenant, signal, output } = options
  const settings = await readSettings(file)
  const secret =
    options.secret === undefined
      ? undefined
      : await readSecret(options.secret, { stdin: process.stdin, signal })
  const params = { tenant, provider: name, settings }
  const answer = await askRelay(options, verb === 'add' ? addProvider : updateProvider, {
    ...params,
    ...(secret === undefined ? {} : { secret: secret.reveal() }),
  })
  output.result(answer, [...lines(answer), `next: sallyport relay sso test ${name} --tenant ${tenant}`])
}

/** `sallyport relay sso list`. */
export async function ssoList(options: Context): Promise<void> {
  const { items } = await askList(options)
  options.output.result(
    { identityProviders: items },
    items.length > 0 ? items.flatMap(lines) : 'none yet: sallyport relay sso add NAME FILE',
  )
}

/** `sallyport relay sso remove`. */
export async function ssoRemove(options: Context & { name: string }): Promise<void> {
  const { tenant, name, output } = options
  const answer = await askRelay(options, removeProvider, { tenant, provider: name })
  output.result(answer, `${name} is gone, with the roles that it gave and the sessions that began there`)
}

/** `sallyport relay sso test`. */
export async function ssoTest(options: Context & { name: string }): Promise<void> {
  const { tenant, name, output } = options
  const answer = await askRelay(options, checkProvider, { tenant, provider: name })
  output.result(answer, answer.found)
}

function askList(options: Context) {
  // A tenant has fewer than one page holds.
  return askRelay(options, listProviders, { tenant: options.tenant, limit: 1_000 })
}

function lines({ provider, settings, addresses }: Shown): string[] {
  const places = Object.entries(addresses).map(([name, url]) => `  ${name}  ${url}`)
  return [`${provider}  ${settings.kind}`, ...places]
}

/** @throws {TunnelError} USAGE */
async function readSettings(file: string): Promise<unknown> {
  try {
    const { size } = await stat(file)
    if (size > FILE_MAX_BYTES)
      throw new TunnelError('USAGE', `${file} has more than ${FILE_MAX_BYTES} bytes.`)
    return JSON.parse(await readFile(file, 'utf8'))
  } catch (cause) {
    if (cause instanceof TunnelError) throw cause
    throw new TunnelError('USAGE', `${file} cannot be read as JSON.`, { cause })
  }
}
