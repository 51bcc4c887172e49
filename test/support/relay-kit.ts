import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join as joinPath } from 'node:path'
import { type Agent, rulesPath, startAgent } from '../../agent/agent.ts'
import type { Resolver } from '../../agent/dial/resolve.ts'
import { join } from '../../agent/enrollment.ts'
import type { SessionCount } from '../../agent/sessions.ts'
import { Connector, type ConnectorOptions } from '../../connector/connection.ts'
import { forwardLocally, type LocalForward } from '../../connector/local-forward.ts'
import type { Authenticator } from '../../relay/api/caller.ts'
import type { ApiLimits } from '../../relay/api/limits.ts'
import { createJoinString, issueConnector } from '../../relay/authority/invite.ts'
import { controlHandlers } from '../../relay/control.ts'
import type { AdmissionLimits } from '../../relay/gateway/admission.ts'
import { type Relay, type RelayOptions, startRelay } from '../../relay/relay.ts'
import { makePrivateDirectory } from '../../shared/config/private-file.ts'
import { type Effects, realEffects } from '../../shared/effects.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { parseResourceName } from '../../shared/identity/names.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import type { Network } from '../../shared/network/network.ts'
import type { Cidr } from '../../shared/policy/cidr.ts'
import type { RunningRelease } from '../../shared/release/running.ts'
import type { ReleaseStatement } from '../../shared/release/statement.ts'
import { actAt } from './acts.ts'
import { eventually, within } from './deadline.ts'
import { type RecordedLog, recordLog } from './recorded-log.ts'

/** A resource as the tests write it: the port of a loopback target, or further lines of its table. */
export type TestRule = number | string

/** One address, or several. */
type Addresses = RelayAddress | readonly RelayAddress[]

const TENANT = 'default'
const ENVIRONMENT = 'production'

export interface KitOptions {
  readonly effects?: Effects
  /** Lifetime of agents' certificates in ms. */
  readonly agentLifetimeMs?: number
  /** Limits at the relay's door that differ from the defaults. */
  readonly limits?: Partial<AdmissionLimits>
  /** Where proxies are that must say whose connections they bring. */
  readonly proxies?: readonly Cidr[]
  /** Where audit records may be sent beside the internet. */
  readonly deliveryRanges?: readonly Cidr[]
  /** What agents must state to be. */
  readonly requiredRelease?: ReleaseStatement
  /** What logins may cost and how often they may be tried. */
  readonly logins?: NonNullable<RelayOptions['logins']>
  /** Where identity providers may be. */
  readonly sso?: NonNullable<RelayOptions['sso']>
  /** Where backups go. */
  readonly backups?: NonNullable<RelayOptions['backups']>
  /** Sessions and tokens that the API takes beside its own. */
  readonly authenticators?: readonly Authenticator[]
  /** Limits of the API that differ from the defaults. */
  readonly apiLimits?: Partial<ApiLimits>
}

export interface AgentStart {
  readonly site?: string
  /** Resource name to target. */
  readonly rules?: Readonly<Record<string, TestRule>>
  readonly effects?: Effects
  readonly resolver?: Resolver
  /** True: targets are asked how they are; else nothing but streams reaches them. */
  readonly probes?: boolean
  /** How many sessions it keeps; two by default. */
  readonly sessions?: SessionCount
  /** Which release it says it is. */
  readonly release?: RunningRelease
  /** The data directory of an agent that has joined already. */
  readonly directory?: string
  /** Where the relay is dialled instead of at its own address. */
  readonly address?: Addresses
  /** How the relay is reached; directly by default. */
  readonly network?: Network
  /** False: does not wait until it is connected. */
  readonly isAwaited?: boolean
}

export interface TestAgent {
  readonly directory: string
  readonly agent: Agent
  readonly log: RecordedLog
  /** Puts new rules in the place of all that were there, as an editor would. */
  writeRules(rules: Readonly<Record<string, TestRule>>): Promise<void>
  /** Waits until the relay has its session. */
  connected(): Promise<void>
  /** As SIGTERM: drains. */
  stop(): Promise<void>
}

/** A relay in this process, with agents and connectors; all of it on free ports, in fresh directories, silent. */
export class RelayKit implements AsyncDisposable {
  readonly directory: string
  readonly log = recordLog()
  relay: Relay
  readonly #options: KitOptions
  readonly #stops: (() => Promise<void> | void)[] = []

  constructor(directory: string, relay: Relay, log: RecordedLog, options: KitOptions) {
    this.directory = directory
    this.relay = relay
    this.log = log
    this.#options = options
  }

  get port(): number {
    return this.relay.address.port
  }

  /** What the relay's commands ask over the control channel. */
  async command(method: string, params: object): Promise<object> {
    const handler = controlHandlers(this.relay)[method]
    if (handler === undefined) throw new Error(`no such command: ${method}`)
    return (await handler(params, AbortSignal.timeout(10_000))) as object
  }

  async joinString(site = 'berlin', changes: { address?: Addresses; lifetimeMs?: number } = {}) {
    const { address = this.relay.address, lifetimeMs } = changes
    const options = {
      addresses: [address].flat(),
      serverName: this.relay.address.host,
      environment: ENVIRONMENT,
      site,
      ...(lifetimeMs === undefined ? {} : { lifetimeMs }),
    }
    const issued = await createJoinString(
      this.relay.authority,
      TENANT,
      options,
      actAt(this.relay.authority.effects.date()),
    )
    return issued.text.reveal()
  }

  /** A data directory of an agent that has joined. */
  async joinedDirectory(site = 'berlin', address?: Addresses, effects: Effects = this.effects) {
    const directory = await this.#temporaryDirectory()
    const text = await this.joinString(site, address === undefined ? {} : { address })
    await join(text, directory, joinOptions(effects))
    return directory
  }

  get effects(): Effects {
    return this.#options.effects ?? realEffects
  }

  async startAgent(start: AgentStart = {}): Promise<TestAgent> {
    const effects = start.effects ?? this.effects
    const directory = start.directory ?? (await this.joinedDirectory(start.site, start.address, effects))
    if (start.rules !== undefined || start.directory === undefined)
      await writeRules(directory, start.rules ?? {})
    const stop = new AbortController()
    const log = recordLog()
    const { network } = start
    const agent = await startAgent({
      ...(network === undefined ? {} : { network: async () => network }),
      directory,
      effects,
      log: log.log,
      signal: stop.signal,
      probes: start.probes ?? false,
      ...(start.resolver === undefined ? {} : { resolver: start.resolver }),
      ...(start.sessions === undefined ? {} : { sessions: start.sessions }),
      ...(start.release === undefined ? {} : { release: start.release }),
    })
    const test: TestAgent = {
      directory,
      agent,
      log,
      writeRules: (rules) => writeRules(directory, rules),
      connected: () => eventually(() => agent.status().connected, 'the agent connected'),
      stop: async () => {
        stop.abort()
        await within(agent.done, 'the end of the agent', 20_000)
      },
    }
    this.#stops.push(() => test.stop())
    if (start.isAwaited !== false) await test.connected()
    return test
  }

  async credentials(name: string, ...resources: string[]): Promise<ConnectorCredentials> {
    const options = {
      addresses: [this.relay.address],
      serverName: this.relay.address.host,
      environment: ENVIRONMENT,
      name,
      grants: resources.map(parseResourceName),
    }
    const issued = await issueConnector(this.relay.authority, TENANT, options, actAt())
    return issued.credentials
  }

  /** A connector that is connected. */
  async connect(
    credentials: ConnectorOptions['credentials'],
    options: Partial<ConnectorOptions> = {},
  ): Promise<Connector> {
    const connector = new Connector({ credentials, effects: this.effects, ...options })
    this.#stops.push(() => connector.close())
    await within(connector.ready(), 'the connector connected')
    return connector
  }

  async forward(connector: Connector, resource: string): Promise<LocalForward> {
    const forward = await forwardLocally({ connector, resource, host: '127.0.0.1', port: 0 })
    this.#stops.push(() => forward.close())
    return forward
  }

  /** Opens a TCP listener of the relay's own for a resource. @returns its port */
  async publish(resource: string): Promise<number> {
    const address = await this.relay.publications.publish(
      TENANT,
      { ...parseResourceName(resource), environment: ENVIRONMENT, kind: 'tcp', address: '127.0.0.1:0' },
      actAt(),
    )
    return Number(address.slice(address.lastIndexOf(':') + 1))
  }

  /** Stops the relay; `startAgain` brings it back on its port and data. */
  async stopRelay(drainMs = 0): Promise<void> {
    await this.relay.stop(drainMs)
  }

  async startAgain(): Promise<void> {
    this.relay = await runRelay(this.directory, this.port, this.log, this.#options)
  }

  /** Ends everything that was started here, the last first. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const stop of this.#stops.reverse()) await stop()
    await this.relay.stop(0)
    await rm(this.directory, { recursive: true, force: true })
  }

  async #temporaryDirectory(): Promise<string> {
    const directory = await mkdtemp(joinPath(tmpdir(), 'sallyport-agent-'))
    this.#stops.unshift(() => rm(directory, { recursive: true, force: true }))
    return directory
  }
}

/** Starts a relay on a free port. */
export async function startKit(options: KitOptions = {}): Promise<RelayKit> {
  const directory = await mkdtemp(joinPath(tmpdir(), 'sallyport-relay-'))
  const log = recordLog()
  const relay = await runRelay(directory, 0, log, options)
  return new RelayKit(directory, relay, log, options)
}

function runRelay(directory: string, port: number, log: RecordedLog, options: KitOptions): Promise<Relay> {
  return startRelay({
    directory,
    listen: { host: '127.0.0.1', port },
    name: '127.0.0.1',
    log: log.log,
    effects: realEffects,
    ...options,
  })
}

export function joinOptions(effects: Effects = realEffects) {
  return { effects, signal: AbortSignal.timeout(10_000), version: '0.0.0', instance: 'test' }
}

async function writeRules(directory: string, rules: Readonly<Record<string, TestRule>>): Promise<void> {
  await makePrivateDirectory(directory)
  const tables = Object.entries(rules).map(([name, rule]) => `[resources.${name}]\n${tableOf(rule)}\n`)
  const path = rulesPath(directory)
  await writeFile(`${path}.new`, `version = 1\n${tables.join('')}`, { mode: 0o600 })
  await rename(`${path}.new`, path)
}

function tableOf(rule: TestRule): string {
  if (typeof rule === 'string') return rule
  return `protocol = "tcp"\nhost = "127.0.0.1"\nport = ${rule}\nallow_loopback = true`
}
