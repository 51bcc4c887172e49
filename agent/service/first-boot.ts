import type { Effects } from '../../shared/effects.ts'
import type { Logger } from '../../shared/log.ts'
import type { Network } from '../../shared/network/network.ts'
import { PRODUCT_VERSION } from '../../shared/version.ts'
import { join } from '../enrollment.ts'
import { readIdentity } from '../identity-store.ts'
import { discardJoinFile, findJoinString, type JoinSources } from './join-source.ts'

/** How an agent that has not joined may do it when it starts, as the first start of a golden image. */
export interface FirstBootOptions extends JoinSources {
  readonly data: string
  readonly effects: Effects
  readonly log: Logger
  /** How the relay is reached; directly unless told otherwise. */
  readonly network?: () => Promise<Network>
}

/**
 * Joins where this agent has no identity and a join string lies ready; an agent that has one leaves the string alone. The
 * file of a string that is spent is removed where that is possible.
 * @throws {TunnelError} those of joining; the next start tries again
 */
export async function joinAtFirstBoot(options: FirstBootOptions): Promise<void> {
  const { data, effects, log, signal, file } = options
  const identity = await readIdentity(data)
  if (identity !== undefined) {
    // Taken out of the environment all the same.
    const unused = await findJoinString({ ...options, file: file === '-' ? undefined : file })
    if (unused !== undefined)
      log.warn({ agentId: identity.agentId }, 'join string not used: this agent has joined')
    return
  }
  const found = await findJoinString(options)
  if (found === undefined) return
  const joined = await join(found.text.reveal(), data, {
    effects,
    signal,
    version: PRODUCT_VERSION,
    instance: effects.randomBytes(16).toString('hex'),
    ...(options.network === undefined ? {} : { network: await options.network() }),
  })
  const { site, agentId } = joined.identity
  log.info({ site, agentId, fingerprint: joined.fingerprint }, 'joined')
  if (found.file === undefined) return
  if (!(await discardJoinFile(found.file)))
    log.info({ file: found.file }, 'spent join string could not be removed')
}
