import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { eventually } from '../support/deadline.ts'
import { type Part, type PartOptions, runPart, startPart } from './part.ts'

/** How long an agent may take until it is connected, in ms. */
const CONNECT_MS = 30_000

export interface WorldOptions {
  /** Where the relay listens; 127.0.0.1 and a free port by default. */
  readonly listen?: string
  readonly relayFlags?: readonly string[]
  readonly relay?: PartOptions
  /** The relay's data directory; a fresh one by default. */
  readonly relayData?: string
}

export interface AgentOptions extends PartOptions {
  readonly site?: string
  readonly tenant?: string
  /** Resource to the port of a service on this machine, or to HOST:PORT. */
  readonly targets?: Readonly<Record<string, number | string>>
  readonly flags?: readonly string[]
  /** Resources whose streams end with their path. */
  readonly mortal?: readonly string[]
  readonly data?: string
  /** Where the relay is dialled instead of at its own address. */
  readonly address?: string
  /** Of sessions that it keeps; what joining gave by default. */
  readonly sessions?: 1 | 2
  /** False: joins and allows, and does not run. */
  readonly isRunning?: boolean
}

export interface WorldAgent {
  readonly data: string
  readonly part: Part
  /** Starts it again on its data. */
  again(): Promise<void>
  status(): Promise<Readonly<Record<string, unknown>>>
  connected(): Promise<void>
}

interface SessionRow {
  readonly session: string
  readonly kind: string
  readonly name: string
}

/** A relay, agents and connectors by their real commands, each in a process of its own. */
export class World implements AsyncDisposable {
  readonly root: string
  readonly relayData: string
  readonly #options: WorldOptions
  readonly #parts: Part[] = []
  #relay: Part | undefined
  #address = ''
  #count = 0

  constructor(root: string, options: WorldOptions) {
    this.root = root
    this.#options = options
    this.relayData = options.relayData ?? join(root, 'relay')
  }

  get relay(): Part {
    if (this.#relay === undefined) throw new Error('the relay does not run')
    return this.#relay
  }

  /** HOST:PORT. */
  get address(): string {
    return this.#address
  }

  get port(): number {
    return portOf(this.#address)
  }

  /** Starts the relay, the second time on the address of the first. */
  async startRelay(): Promise<void> {
    const wanted = this.#options.listen ?? '127.0.0.1:0'
    const listen = this.#address === '' ? wanted : wanted.replace(/\d+$/, String(this.port))
    const flags = ['--data', this.relayData, '--listen', listen, ...(this.#options.relayFlags ?? [])]
    this.#relay = this.start(['relay', 'up', ...flags], this.#options.relay)
    const { address } = await this.#relay.line()
    this.#address = String(address)
    await this.#relay.line()
  }

  /** A long-running command, ended with the world. */
  start(args: readonly string[], options: PartOptions = {}): Part {
    const part = startPart(args, options)
    this.#parts.push(part)
    return part
  }

  /** A command at the relay. */
  async atRelay(...args: string[]): Promise<Readonly<Record<string, unknown>>> {
    return runPart([...args, '--data', this.relayData], this.#options.relay)
  }

  async startAgent(options: AgentOptions = {}): Promise<WorldAgent> {
    const site = options.site ?? 'berlin'
    const data = options.data ?? join(this.root, `agent-${site}-${this.#count++}`)
    const { joinString } = await this.atRelay('relay', 'join-token', site, ...tenantFlag(options.tenant))
    const file = join(this.root, `join-${this.#count++}`)
    await writeFile(file, String(joinString), { mode: 0o600 })
    await runPart(['agent', 'join', '--join-file', file, '--no-service', '--data', data], options)
    for (const [name, target] of Object.entries(options.targets ?? {}))
      await this.#allow(data, name, target, options)
    await changeSettings(data, options)
    const run = () => this.start(['agent', 'run', '--data', data, ...(options.flags ?? [])], options)
    const status = () => runPart(['agent', 'status', '--data', data])
    let part: Part | undefined
    const agent: WorldAgent = {
      data,
      get part() {
        if (part === undefined) throw new Error('the agent does not run')
        return part
      },
      async again() {
        part = run()
        await part.line()
      },
      status,
      connected: () =>
        eventually(async () => (await status()).connected === true, `the agent of ${site}`, CONNECT_MS),
    }
    if (options.isRunning === false) return agent
    await agent.again()
    await agent.connected()
    return agent
  }

  async #allow(data: string, name: string, target: number | string, options: AgentOptions): Promise<void> {
    const place = typeof target === 'number' ? `127.0.0.1:${target}` : target
    const flags = [
      '--allow-loopback',
      '--no-probe',
      ...(options.mortal?.includes(name) ? ['--no-resume'] : []),
    ]
    await runPart(['agent', 'allow', `${name}=${place}`, ...flags, '--data', data], options)
  }

  /** The names of the sessions of a site's agents. */
  async sessionsOf(site: string): Promise<string[]> {
    const { sessions } = (await this.atRelay('relay', 'status')) as unknown as { sessions: SessionRow[] }
    return sessions.flatMap(({ kind, name, session }) => (kind === 'agent' && name === site ? [session] : []))
  }

  /** A credentials file for the resources. */
  async credentials(name: string, resource: string, tenant?: string): Promise<string> {
    const out = join(this.root, `${name}.credentials.json`)
    const flags = ['--resource', resource, '--out', out, ...tenantFlag(tenant)]
    await this.atRelay('relay', 'connector', 'add', name, ...flags)
    return out
  }

  /** A local port that leads to the resource. */
  async connect(
    resource: string,
    credentials: string,
    options: PartOptions = {},
  ): Promise<{ part: Part; port: number }> {
    const part = this.start(
      ['connect', resource, '--credentials', credentials, '--listen', '127.0.0.1:0'],
      options,
    )
    return { part, port: portOf((await part.line()).listening) }
  }

  /** A port of the relay's own that leads to the resource. */
  async publish(resource: string): Promise<number> {
    return portOf((await this.atRelay('relay', 'publish', resource, '--tcp', '127.0.0.1:0')).address)
  }

  /** Ends everything, the last first. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const part of this.#parts.reverse()) {
      part.child.kill('SIGCONT')
      await part.end('SIGKILL')
    }
    await rm(this.root, { recursive: true, force: true })
  }
}

/** A world whose relay runs. */
export async function startWorld(options: WorldOptions = {}): Promise<World> {
  const world = new World(await mkdtemp(join(tmpdir(), 'sallyport-fault-')), options)
  await world.startRelay()
  return world
}

export function portOf(address: unknown): number {
  return Number(String(address).split(':').at(-1))
}

function tenantFlag(tenant: string | undefined): string[] {
  return tenant === undefined ? [] : ['--tenant', tenant]
}

async function changeSettings(
  data: string,
  { address, sessions }: Pick<AgentOptions, 'address' | 'sessions'>,
): Promise<void> {
  if (address === undefined && sessions === undefined) return
  // The first command that reads them writes them, and no command has yet.
  const path = join(data, 'settings.json')
  const settings = JSON.parse(await readFile(path, 'utf8')) as Record<string, unknown>
  if (address !== undefined) settings.relays = [address]
  if (sessions !== undefined) settings.sessions = sessions
  await writeFile(path, JSON.stringify(settings), { mode: 0o600 })
}
