import * as v from 'valibot'
import { TunnelError } from '../shared/errors.ts'
import { relayAddressesSchema, serverNameSchema } from '../shared/identity/credentials.ts'
import { NAME_PATTERN } from '../shared/identity/names.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import { ID_PATTERN } from '../shared/identity/subject.ts'
import { type NetworkChoice, networkChoiceSchema } from '../shared/network/choice.ts'
import type { AgentIdentity } from './identity-store.ts'
import type { SessionCount } from './sessions.ts'

/** What an administrator may read and change in `settings.json`; there is no secret in it. */
export interface AgentSettings {
  /** The identity that the settings belong to. */
  readonly agentId: string
  readonly site: string
  /** Where the relay is, 1 to 4, in the order in which they are tried. */
  readonly addresses: readonly RelayAddress[]
  /** What the certificate of the relay must bear. */
  readonly serverName: string
  /** How many sessions with the relay the agent keeps. */
  readonly sessions: SessionCount
  /** Most silence in ms before the agent asks whether the relay lives; `agent doctor` measures it. Absent: the relay decides. */
  readonly pingIntervalMs?: number
  /** How the relay is reached. A proxy's password stands in a file of its own. */
  readonly network: NetworkChoice
}

/** A second session costs the relay memory and gives streams a path at the moment in which the first is lost. */
const DEFAULT_SESSIONS = 2

const settingsSchema = v.strictObject({
  agentId: v.pipe(v.string(), v.regex(ID_PATTERN)),
  site: v.pipe(v.string(), v.regex(NAME_PATTERN)),
  relays: relayAddressesSchema,
  serverName: serverNameSchema,
  sessions: v.optional(v.picklist([1, 2]), DEFAULT_SESSIONS),
  pingIntervalMs: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1_000), v.maxValue(120_000))),
  network: v.optional(networkChoiceSchema, {}),
})

type Content = v.InferInput<typeof settingsSchema>

/**
 * Reads `settings.json`. Where it belongs to another identity, as after a crash in the middle of joining again, or
 * does not exist, it is written anew from the identity, which alone decides.
 *
 * @throws {TunnelError} CONFIG naming the field that is not right
 */
export async function readSettings(directory: string, identity: AgentIdentity): Promise<AgentSettings> {
  const file = await openFile(directory)
  if (file.store.agentId !== identity.agentId) return writeSettings(directory, identity)
  const parsed = v.safeParse(settingsSchema, file.store, { abortEarly: true })
  if (!parsed.success) {
    const field = v.getDotPath(parsed.issues[0]) ?? '(all)'
    throw new TunnelError(
      'CONFIG',
      `${file.path}: the field ${field} is not right: ${parsed.issues[0].message}.`,
      {
        next: `mend ${file.path}, or remove it to return to what joining gave`,
      },
    )
  }
  const { relays, pingIntervalMs, ...rest } = parsed.output
  return { ...rest, addresses: relays, ...(pingIntervalMs === undefined ? {} : { pingIntervalMs }) }
}

/** Stores what was measured, 1,000 to 120,000 ms, or with undefined leaves it to the relay again. */
export async function writePingInterval(
  directory: string,
  pingIntervalMs: number | undefined,
): Promise<void> {
  const file = await openFile(directory)
  if (pingIntervalMs === undefined) file.delete('pingIntervalMs')
  else file.set('pingIntervalMs', pingIntervalMs)
}

/** Replaces `settings.json` by what joining gave. How the relay is reached stays, unless `network` is given. */
export async function writeSettings(
  directory: string,
  identity: AgentIdentity,
  network?: NetworkChoice,
): Promise<AgentSettings> {
  const { agentId, site, addresses, serverName } = identity
  const file = await openFile(directory)
  const sessions = DEFAULT_SESSIONS
  const kept = { network: network ?? networkOf(file.store) }
  file.store = { agentId, site, relays: addresses.map(formatRelayAddress), serverName, sessions, ...kept }
  return { agentId, site, addresses, serverName, sessions, ...kept }
}

/** How the relay is reached, as far as `settings.json` says so; it need not exist. */
export async function readNetworkChoice(directory: string): Promise<NetworkChoice> {
  return networkOf((await openFile(directory)).store)
}

/** Replaces how the relay is reached, and nothing else. */
export async function writeNetworkChoice(directory: string, network: NetworkChoice): Promise<void> {
  const file = await openFile(directory)
  file.set('network', network)
}

function networkOf(store: { readonly network?: unknown }): NetworkChoice {
  const parsed = v.safeParse(networkChoiceSchema, store.network ?? {})
  return parsed.success ? parsed.output : {}
}

async function openFile(directory: string) {
  const Conf = await loadConf()
  // Without a schema: its validator makes code from text.
  try {
    return new Conf<Content>({
      cwd: directory,
      configName: 'settings',
      configFileMode: 0o600,
      accessPropertiesByDotNotation: false,
    })
  } catch (err) {
    throw new TunnelError('CONFIG', `settings.json in ${directory} cannot be read.`, {
      cause: err,
      next: 'mend settings.json, or remove it to return to what joining gave',
    })
  }
}

/**
 * Loads conf where it is first needed, as that takes 50 ms. One of its dependencies listens to every signal and sends
 * each to this process once more, which would make one SIGTERM the second one: its listeners are taken away again.
 */
async function loadConf() {
  const before = new Map(signalNames().map((name) => [name, new Set(process.listeners(name))]))
  const { default: Conf } = await import('conf')
  for (const name of signalNames()) {
    for (const listener of process.listeners(name)) {
      if (before.get(name)?.has(listener) !== true) process.removeListener(name, listener)
    }
  }
  return Conf
}

/** The signals that somebody listens to. */
function signalNames(): NodeJS.Signals[] {
  const names = process.eventNames().filter((name) => typeof name === 'string' && name.startsWith('SIG'))
  return names as NodeJS.Signals[]
}
