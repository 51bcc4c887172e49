import type { Output } from '../shared/cli/output.ts'
import { makePrivateDirectory } from '../shared/config/private-file.ts'
import { mergeChoice, type NetworkChoice } from '../shared/network/choice.ts'
import { describePlan } from '../shared/network/find-network.ts'
import { networkFlags } from '../shared/network/flags.ts'
import { loadPac } from '../shared/network/pac-source.ts'
import { agentNetwork, keepCredentials, networkSettings, readKeptNetwork } from './network.ts'
import { actAsOwner } from './service/owner.ts'
import { writeNetworkChoice } from './settings.ts'

/** How long a local PAC file may take, in ms. */
const PAC_FILE_MS = 5_000

export interface NetworkCommandOptions extends NetworkChoice {
  readonly data: string
  /** Forgets what was set before. */
  readonly reset?: boolean
  readonly environment: NodeJS.ProcessEnv
  readonly output: Output
}

/** A file that is not there now is a slip of the pen; one on the network may come later. @throws {TunnelError} PAC */
async function checkPacFile(source: string): Promise<void> {
  if (!/^https?:/i.test(source)) await loadPac(source, [], AbortSignal.timeout(PAC_FILE_MS))
}

/** `sallyport agent network`: shows how the relay is reached, and sets it where there are flags. */
export async function showNetwork(options: NetworkCommandOptions): Promise<void> {
  const { data, reset = false, environment, output } = options
  const flags = networkFlags(options)
  // While this process may still read the file that an administrator keeps for himself.
  const kept = await readKeptNetwork(flags)
  await actAsOwner(data)
  const isSet = reset || Object.keys(flags).length > 0
  const settings = mergeChoice(reset ? {} : await networkSettings(data), kept.choice)
  const { plan } = await agentNetwork({ directory: data, flags: {}, environment, settings })
  if (isSet) {
    if (flags.pac !== undefined) await checkPacFile(flags.pac)
    await makePrivateDirectory(data)
    await writeNetworkChoice(data, settings)
    await keepCredentials(data, kept)
  }
  const way = describePlan(plan)
  const { credentialsFile, caFile, systemCa, acceptInspector } = plan
  output.result({ way, credentialsFile, caFile, systemCa, acceptInspector, saved: isSet }, [
    `way to the relay  ${way}`,
    ...(credentialsFile === undefined ? [] : [`credentials       ${credentialsFile}`]),
    ...(caFile === undefined ? [] : [`company's CAs     ${caFile}`]),
    ...(systemCa ? ["system's CAs      count too"] : []),
    ...(acceptInspector === undefined ? [] : [`TLS INSPECTOR     accepted: ${acceptInspector}`]),
    ...(isSet ? ['saved; an agent that runs takes it up when it is started again'] : []),
  ])
}
