import { existsSync } from 'node:fs'
import { isAbsolute, join } from 'node:path'
import { readPrivateFile, writePrivateFile } from '../shared/config/private-file.ts'
import { realEffects } from '../shared/effects.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { type FoundNetwork, findNetwork } from '../shared/network/find-network.ts'
import { createNetwork } from '../shared/network/network.ts'
import { parseProxyCredentials } from '../shared/network/route.ts'
import { Secret } from '../shared/secret.ts'
import { readNetworkChoice } from './settings.ts'

/** Where the credentials for the proxy are kept in the data directory, so that the service's user can read them. */
const CREDENTIALS_FILE = 'proxy-credentials'

/** Longest content of a credentials file in bytes. */
const CREDENTIALS_MAX_BYTES = 4_096

export interface AgentNetworkSources {
  readonly directory: string
  /** Of this command. */
  readonly flags: NetworkChoice
  readonly environment: NodeJS.ProcessEnv
  /** Of settings.json. */
  readonly settings: NetworkChoice
}

/** How this agent gets to its relay. @throws {TunnelError} USAGE, CONFIG */
export function agentNetwork({
  directory,
  settings,
  ...sources
}: AgentNetworkSources): Promise<FoundNetwork> {
  const { proxyCredentialsFile: file } = settings
  const path = file === undefined || isAbsolute(file) ? file : join(directory, file)
  return findNetwork({
    ...sources,
    settings: { ...settings, ...(path === undefined ? {} : { proxyCredentialsFile: path }) },
    effects: realEffects,
    platform: process.platform,
  })
}

/** How the relay is reached by the settings in a data directory, which need not exist yet. */
export async function networkSettings(directory: string): Promise<NetworkChoice> {
  return existsSync(join(directory, 'settings.json')) ? readNetworkChoice(directory) : {}
}

/** Flags that are to stay, with what stands in the file that they name. */
export interface KeptNetwork {
  readonly choice: NetworkChoice
  /** Content of the file of --proxy-credentials-file. */
  readonly credentials: Secret<string> | undefined
}

/**
 * Reads the file of --proxy-credentials-file and checks it, while this process still may: a service runs as another user.
 * @throws {TunnelError} PERMISSIONS, NOT_FOUND, CONFIG
 */
export async function readKeptNetwork(flags: NetworkChoice): Promise<KeptNetwork> {
  const { proxyCredentialsFile: file, ...others } = flags
  if (file === undefined) return { choice: others, credentials: undefined }
  const text = await readPrivateFile(file, { maxBytes: CREDENTIALS_MAX_BYTES })
  parseProxyCredentials(text)
  return { choice: { ...others, proxyCredentialsFile: CREDENTIALS_FILE }, credentials: new Secret(text) }
}

/** Puts the credentials into the data directory, where the settings expect them. */
export async function keepCredentials(directory: string, { credentials }: KeptNetwork): Promise<void> {
  if (credentials !== undefined) {
    await writePrivateFile(join(directory, CREDENTIALS_FILE), credentials.reveal())
  }
}

/** The network for joining: the data directory may not exist yet, so the credentials are those at hand. */
export async function joiningNetwork(
  sources: AgentNetworkSources,
  { credentials }: KeptNetwork,
): Promise<FoundNetwork> {
  if (credentials === undefined) return agentNetwork(sources)
  const { proxyCredentialsFile: _file, ...flags } = sources.flags
  const { proxyCredentialsFile: _kept, ...settings } = sources.settings
  const found = await agentNetwork({ ...sources, flags, settings })
  const plan = { ...found.plan, credentials: parseProxyCredentials(credentials.reveal()) }
  return { plan, network: createNetwork(plan, realEffects) }
}
