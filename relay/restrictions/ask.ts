import { readFile } from 'node:fs/promises'
import { TunnelError } from '../../shared/errors.ts'
import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import { call } from '../control-commands.ts'
import {
  attachRestriction,
  detachRestriction,
  listRestrictions,
  removeRestriction,
  setRestriction,
} from '../operations/restrictions.ts'

interface TenantContext extends CommandContext {
  readonly tenant: string
}

interface TargetContext extends TenantContext {
  readonly env: string
  readonly name: string
  readonly kind: string
  readonly target?: string
}

/** `sallyport relay restriction set`. */
export async function restrictionSet(
  options: TenantContext & { name: string; range?: readonly string[]; ca?: string },
): Promise<void> {
  const { tenant, name, range: ranges = [], output } = options
  const ca = options.ca === undefined ? undefined : await readCa(options.ca)
  const params = { tenant, restriction: name, ranges, ...(ca === undefined ? {} : { ca }) }
  const ended = await askRelay(options, setRestriction, params)
  output.result({ restriction: name, ranges, ...ended }, [
    `restriction ${name}; ${endedText(ended)}`,
    `next: sallyport relay restriction attach ${name} KIND NAME`,
  ])
}

/** `sallyport relay restriction remove`. */
export async function restrictionRemove(options: TenantContext & { name: string }): Promise<void> {
  const { tenant, name, output } = options
  await askRelay(options, removeRestriction, { tenant, restriction: name })
  output.result({ restriction: name }, `restriction ${name} is gone`)
}

/** `sallyport relay restriction list`. */
export async function restrictionList(options: TenantContext): Promise<void> {
  const { tenant, output } = options
  const items = await askAll((page) => askRelay(options, listRestrictions, { tenant, ...page }))
  output.result(
    { restrictions: items },
    items.length === 0
      ? 'no restrictions: sallyport relay restriction set NAME --range CIDR'
      : items.flatMap(({ restriction, ranges, ca, targets }) => [
          `${restriction}  ${ranges.join(' ')}${ca === undefined ? '' : `  CA ${ca}`}`,
          ...targets.map(({ kind, environment, target }) => `  ${[kind, environment, target].join('  ')}`),
        ]),
  )
}

/** `sallyport relay restriction attach`. */
export async function restrictionAttach(options: TargetContext): Promise<void> {
  const { name, kind, target = '', output } = options
  const ended = await call(options, attachRestriction, { restriction: name, kind, target })
  output.result({ restriction: name, kind, target, ...ended }, [
    `${kind} ${target}`.trim().concat(` is restricted by ${name}; ${endedText(ended)}`),
  ])
}

/** `sallyport relay restriction detach`. */
export async function restrictionDetach(options: TargetContext): Promise<void> {
  const { name, kind, target = '', output } = options
  await call(options, detachRestriction, { restriction: name, kind, target })
  output.result(
    { restriction: name, kind, target },
    `${`${kind} ${target}`.trim()} is no longer restricted by ${name}`,
  )
}

function endedText({ sessions, streams }: { sessions: number; streams: number }): string {
  return `sessions ended: ${sessions}, streams ended: ${streams}`
}

async function readCa(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TunnelError('USAGE', `${path} cannot be read.`, { cause })
  })
}
