import { join } from 'node:path'
import { checkPrivateDirectory } from '../shared/config/private-file.ts'
import type { Effects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import type { Logger } from '../shared/log.ts'
import { DIRECT_NETWORK, type Network } from '../shared/network/network.ts'
import type { RunningRelease } from '../shared/release/running.ts'
import { PRODUCT_VERSION } from '../shared/version.ts'
import type { AgentStatus } from './agent-status.ts'
import { rulesEvent } from './audit/events.ts'
import { AgentTrail } from './audit/trail.ts'
import type { Resolver } from './dial/resolve.ts'
import { readIdentity } from './identity-store.ts'
import { type Pause, readPause, writePause } from './local/pause.ts'
import { lastGoodFile } from './rules/last-good.ts'
import { watchRules } from './rules/watch.ts'
import { RunningAgent } from './running-agent.ts'
import type { SessionCount } from './sessions.ts'
import { type AgentSettings, readSettings } from './settings.ts'

export interface AgentOptions {
  readonly directory: string
  readonly effects: Effects
  readonly log: Logger
  readonly signal: AbortSignal
  readonly mask?: 'zero' | 'random'
  /** Which release this is, where the caller looked. */
  readonly release?: RunningRelease
  /** How many sessions it keeps, where that is not what its settings say. */
  readonly sessions?: SessionCount
  /** How the relay is reached, which may depend on the settings; directly unless told otherwise. */
  readonly network?: (settings: AgentSettings) => Promise<Network>
  /** Stands in for the system's names in tests. */
  readonly resolver?: Resolver
  /** False: targets are never asked how they are, for tests that count what reaches them. */
  readonly probes?: boolean
}

/** A running agent. */
export interface Agent {
  status(): AgentStatus
  /** Ends every stream and refuses all others, or with undefined lets them come again. Survives a restart. */
  pause(pause: Pause | undefined): Promise<void>
  /** Resolves when the agent has ended after its signal aborted; rejects where it cannot go on. */
  readonly done: Promise<void>
}

/** The name of the rules file in the data directory. */
export function rulesPath(directory: string): string {
  return join(directory, 'rules.toml')
}

/**
 * Starts an agent that has joined.
 * @throws {TunnelError} IDENTITY where it has not; PERMISSIONS, CONFIG, POLICY
 */
export async function startAgent(options: AgentOptions): Promise<Agent> {
  const { directory, effects, log } = options
  await checkPrivateDirectory(directory)
  const identity = await readIdentity(directory)
  if (identity === undefined) {
    throw new TunnelError('IDENTITY', 'This agent has not joined.', {
      leg: 'local',
      next: `sallyport agent join --data ${directory} STRING`,
    })
  }
  const settings = await readSettings(directory, identity)
  const network = (await options.network?.(settings)) ?? DIRECT_NETWORK
  const trail = await AgentTrail.open({ data: directory, agentId: identity.agentId, effects, log })
  trail.audit({ action: 'agent.start', object: PRODUCT_VERSION, outcome: 'OK' })
  const agent = new RunningAgent(options, identity, settings, network, trail.audit)
  const rules = await watchRules(rulesPath(directory), {
    effects,
    onChange: ({ rules: next, added, removed, changed }) => {
      log.info({ added, removed, changed }, 'rules changed')
      trail.audit(rulesEvent(next, { added, removed, changed }))
      agent.rulesChanged(next)
    },
    onGood: () => agent.rulesGood(),
    onError: (error) => agent.rulesFailed(error),
    lastGood: lastGoodFile(rulesPath(directory)),
    onCopyFailed: (err) => log.warn({ err }, 'the copy of the last good rules cannot be kept or read'),
  })
  agent.begin(() => rules.rules)
  agent.pause(await readPause(directory))
  return {
    status: () => agent.status(),
    pause: async (pause) => {
      await writePause(directory, pause)
      log.warn({ since: pause?.since }, pause === undefined ? 'resumed' : 'paused')
      trail.audit({ action: pause === undefined ? 'agent.resume' : 'agent.pause', object: '', outcome: 'OK' })
      agent.pause(pause)
    },
    done: agent.run().finally(() => {
      rules[Symbol.dispose]()
      return trail.stop()
    }),
  }
}
