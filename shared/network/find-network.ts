import type { Effects } from '../effects.ts'
import { type ChoiceSources, type NetworkPlan, planNetwork } from './choice.ts'
import { createNetwork, type Network } from './network.ts'
import { formatPacSource } from './pac-source.ts'
import { formatRoute } from './route.ts'
import { readWindowsProxy } from './windows-proxy.ts'

export interface FindNetworkOptions extends Omit<ChoiceSources, 'system'> {
  readonly effects: Effects
  /** `process.platform`; the system's own settings are only known on win32. */
  readonly platform: NodeJS.Platform
}

/** A network and where it comes from. */
export interface FoundNetwork {
  readonly network: Network
  readonly plan: NetworkPlan
}

/**
 * Finds out how this process gets out of its network.
 * @throws {TunnelError} USAGE, CONFIG; nothing is dialled yet
 */
export async function findNetwork(options: FindNetworkOptions): Promise<FoundNetwork> {
  const { environment, platform, effects } = options
  const system =
    platform === 'win32' ? await readWindowsProxy(environment.SystemRoot ?? String.raw`C:\Windows`) : {}
  const plan = planNetwork({ ...options, system })
  return { network: createNetwork(plan, effects), plan }
}

/** A plan for people and logs, without secrets: `http://proxy.corp:3128 (environment)`. */
export function describePlan({ way, origin }: NetworkPlan): string {
  if (way.kind === 'direct') return `direct (${origin})`
  if (way.kind === 'pac') return `PAC ${formatPacSource(way.source)} (${origin})`
  return `${formatRoute(way.setting.route)} (${origin})`
}
