import type { Readable } from 'node:stream'
import type { Output } from '../shared/cli/output.ts'
import { realEffects } from '../shared/effects.ts'
import { mergeChoice, type NetworkChoice } from '../shared/network/choice.ts'
import { describePlan } from '../shared/network/find-network.ts'
import { networkFlags } from '../shared/network/flags.ts'
import { PRODUCT_VERSION } from '../shared/version.ts'
import { join } from './enrollment.ts'
import { joiningNetwork, keepCredentials, networkSettings, readKeptNetwork } from './network.ts'
import { prepareJoin, serviceByDefault } from './service/join-service.ts'
import { readJoinString } from './service/join-source.ts'

export interface JoinCommandOptions extends NetworkChoice {
  readonly data: string
  /** The join string itself, `-` for standard input, or undefined. */
  readonly text: string | undefined
  readonly joinFile?: string
  readonly replace?: boolean
  /** True and false as the flags say; undefined leaves it to the machine. */
  readonly service?: boolean
  readonly stdin: Readable
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport agent join`. */
export async function joinRelay(options: JoinCommandOptions): Promise<void> {
  const { data, text, joinFile, environment, stdin, signal, output } = options
  const { text: joinString } = await readJoinString(text, { file: joinFile, environment, stdin, signal })
  if (text !== undefined && text !== '-')
    output.note(
      'the join string stood where other users of this machine can read it; it works once, and that is now',
    )
  const flags = networkFlags(options)
  // A file that only this user can read is read before the service's user takes over.
  const kept = await readKeptNetwork(flags)
  const isService = options.service ?? serviceByDefault(data)
  // Before the token is spent: what cannot become a service is said now.
  const service = isService ? await prepareJoin(data, signal) : undefined
  const settings = await networkSettings(data)
  const sources = { directory: data, flags, environment, settings }
  const { network, plan } = await joiningNetwork(sources, kept)
  if (plan.origin !== 'default') output.note(`way to the relay: ${describePlan(plan)}`)
  const joined = await output.progress(
    'joining the relay',
    join(joinString.reveal(), data, {
      effects: realEffects,
      signal,
      version: PRODUCT_VERSION,
      instance: realEffects.randomBytes(16).toString('hex'),
      ...(options.replace === true ? { replace: true } : {}),
      network,
      networkChoice: mergeChoice(settings, kept.choice),
    }),
  )
  await keepCredentials(data, kept)
  const { site, agentId } = joined.identity
  const { fingerprint, caFingerprint } = joined
  const where = isService ? '' : ` --data ${data}`
  output.result({ site, agentId, fingerprint, caFingerprint, data, service: isService }, [
    `joined as an agent of site ${site}`,
    `agent key  ${fingerprint}`,
    `relay CA   ${caFingerprint}`,
    'compare the agent key with `sallyport relay list` at the relay',
    `next: sallyport agent allow NAME=HOST:PORT${where}`,
    ...(isService ? [] : [`then: sallyport agent run${where}`]),
  ])
  if (service === undefined) return
  for (const line of service.notes) output.note(line)
  await output.progress('starting the service', service.start())
  output.note('the service runs, now and after each start of this machine: sallyport agent service status')
}
