import type { Readable } from 'node:stream'
import type { Output } from '../shared/cli/output.ts'
import { controlPath } from '../shared/control/path.ts'
import { serveControl } from '../shared/control/serve.ts'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { describePlan } from '../shared/network/find-network.ts'
import { networkFlags } from '../shared/network/flags.ts'
import { describeRunning, runningRelease } from '../shared/release/running.ts'
import { type Agent, startAgent } from './agent.ts'
import { controlHandlers } from './local/control.ts'
import { type LogFlags, openLog } from './local/log.ts'
import { serveStatusPage } from './local/status-page.ts'
import { agentNetwork, networkSettings } from './network.ts'
import { joinAtFirstBoot } from './service/first-boot.ts'
import { connectNotify } from './service/notify.ts'
import { superviseService } from './service/supervision.ts'

export interface RunFlags extends LogFlags, NetworkChoice {
  readonly data: string
  readonly mask: string
  readonly joinFile?: string
  /** Ends as at SIGTERM when standard input ends: how a service of Windows is told to. */
  readonly stopWithInput?: boolean
  /** Where to serve the status page; nowhere by default. */
  readonly statusPage?: string
}

interface Context {
  readonly stdin: Readable
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport agent run`: until the signal aborts, then lets streams end for a moment. */
export async function run(options: RunFlags & Context): Promise<void> {
  const { data, mask, stdin, environment, output } = options
  if (mask !== 'zero' && mask !== 'random') throw new TunnelError('USAGE', '--mask is zero or random.')
  const signal = options.stopWithInput === true ? endOfInput(stdin, options.signal) : options.signal
  using opened = openLog(options, environment)
  const { log } = opened
  const release = await runningRelease(signal)
  log.info({ release: describeRunning(release) }, 'agent starts')
  const sources = { directory: data, flags: networkFlags(options), environment }
  const networkFor = async (settings: NetworkChoice) => {
    const { network, plan } = await agentNetwork({ ...sources, settings })
    log.info({ way: describePlan(plan), inspector: plan.acceptInspector }, 'way to the relay')
    return network
  }
  await joinAtFirstBoot({
    data,
    network: async () => networkFor(await networkSettings(data)),
    file: options.joinFile,
    environment,
    stdin,
    signal,
    effects: realEffects,
    log,
  })
  const agent = await startAgent({
    directory: data,
    effects: realEffects,
    log,
    signal,
    mask,
    release,
    network: (settings) => networkFor(settings.network),
  })
  await using _control = await serveControl(controlPath(data), controlHandlers(agent), {
    signal,
    onFault: (err, method) => log.error({ err, method }, 'control request failed'),
  })
  await using page =
    options.statusPage === undefined
      ? undefined
      : await serveStatusPage(options.statusPage, () => agent.status())
  if (page !== undefined) output.note(`status page: ${page.address}`)
  const { site, agentId } = agent.status()
  output.result({ event: 'running', site, agentId, data }, `agent of site ${site} runs, data in ${data}`)
  const manager = connectNotify({
    environment,
    onFailure: (err) => log.warn({ err }, 'the service manager does not hear'),
  })
  if (manager !== undefined) {
    superviseService({ ...manager, effects: realEffects, look: () => serviceState(agent), signal })
  }
  await agent.done
}

/** What the service manager shows of the agent. */
function serviceState(agent: Agent) {
  const { connected, attempts, site, relay, pausedSince, lastError } = agent.status()
  const failure = lastError === undefined ? '' : `: ${lastError.code}`
  const way = connected
    ? `site ${site}: connected to ${relay}`
    : `site ${site}: not connected, trying again${failure}`
  return { isConnected: connected, attempts, text: pausedSince === undefined ? way : `PAUSED; ${way}` }
}

/** A signal that aborts with `signal`, and when standard input has ended. */
function endOfInput(stdin: Readable, signal: AbortSignal): AbortSignal {
  const ended = new AbortController()
  const stop = () => ended.abort(new TunnelError('CANCELLED', 'standard input ended', { leg: 'local' }))
  // Whatever is written there means nothing.
  stdin.on('end', stop).on('error', stop).resume()
  return AbortSignal.any([signal, ended.signal])
}
