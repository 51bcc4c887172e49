import { lookup } from 'node:dns/promises'
import { join } from 'node:path'
import { checkPrivateDirectory } from '../shared/config/private-file.ts'
import type { Effects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import type { Logger } from '../shared/log.ts'
import { createWindowBudget } from '../shared/mux/window.ts'
import type { Rules } from '../shared/policy/rule.ts'
import { type ClientTunnel, openClientTunnel } from '../shared/tunnel/client-tunnel.ts'
import { endsStreams, keepConnected } from '../shared/tunnel/reconnect.ts'
import { PRODUCT_VERSION } from '../shared/version.ts'
import type { AgentStatus } from './agent-status.ts'
import { createResolver, type Resolver } from './dial/resolve.ts'
import { fingerprintOf } from './enrollment.ts'
import { type AgentIdentity, readIdentity } from './identity-store.ts'
import { type Pause, readPause, writePause } from './local/pause.ts'
import { keepRenewed } from './renewal.ts'
import { policyDigest } from './rules/digest.ts'
import { watchRules } from './rules/watch.ts'
import { readSettings } from './settings.ts'
import { AgentStreams } from './streams.ts'

/** Windows of all streams beyond 256 KiB each, in bytes. */
const WINDOW_BUDGET_BYTES = 256 * 1024 * 1024

/** How long the streams of a session that was replaced may go on after a renewal, in ms. */
const RENEWAL_DRAIN_MS = 24 * 3_600_000

/** How long streams may go on when the agent stops, in ms. */
const STOP_DRAIN_MS = 5_000

/** What it takes to tell the openers of those that did not, in ms. */
const STOP_FLUSH_MS = 500

export interface AgentOptions {
  readonly directory: string
  readonly effects: Effects
  readonly log: Logger
  readonly signal: AbortSignal
  readonly mask?: 'zero' | 'random'
  /** Stands in for the system's names in tests. */
  readonly resolver?: Resolver
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
  const agent = new RunningAgent(options, identity, settings.addresses)
  const rules = await watchRules(rulesPath(directory), {
    effects,
    onChange: ({ rules: next, added, removed, changed }) => {
      log.info({ added, removed, changed }, 'rules changed')
      agent.rulesChanged(next)
    },
    onGood: () => agent.rulesGood(),
    onError: (error) => agent.rulesFailed(error),
  })
  agent.begin(() => rules.rules)
  agent.pause(await readPause(directory))
  return {
    status: () => agent.status(),
    pause: async (pause) => {
      await writePause(directory, pause)
      log.warn({ since: pause?.since }, pause === undefined ? 'resumed' : 'paused')
      agent.pause(pause)
    },
    done: agent.run().finally(() => rules[Symbol.dispose]()),
  }
}

class RunningAgent {
  readonly #options: AgentOptions
  readonly #instance: Buffer
  readonly #budget = createWindowBudget(WINDOW_BUDGET_BYTES)
  readonly #addresses: readonly RelayAddress[]
  readonly #tunnels = new Set<ClientTunnel>()
  #identity: AgentIdentity
  #relayNumbers: readonly string[] = []
  #attempt = 0
  #tunnel: ClientTunnel | undefined
  #since = 0
  #lastError: TunnelError | undefined
  #rulesError: TunnelError | undefined
  #pause: Pause | undefined
  #rules: () => Rules = () => new Map()
  readonly #streams: AgentStreams

  constructor(options: AgentOptions, identity: AgentIdentity, addresses: readonly RelayAddress[]) {
    this.#options = options
    this.#identity = identity
    this.#addresses = addresses
    this.#instance = options.effects.randomBytes(16)
    const { effects, log } = options
    this.#streams = new AgentStreams({
      agentId: identity.agentId,
      effects,
      log,
      resolver: options.resolver ?? createResolver({ effects }),
      rules: () => this.#rules(),
      relayAddresses: () => this.#relayNumbers,
    })
  }

  begin(rules: () => Rules): void {
    this.#rules = rules
  }

  pause(pause: Pause | undefined): void {
    this.#pause = pause
    this.#streams.pause(pause !== undefined)
  }

  rulesChanged(rules: Rules): void {
    this.#streams.enforce(rules)
  }

  rulesGood(): void {
    this.#rulesError = undefined
  }

  rulesFailed(error: TunnelError): void {
    this.#rulesError = error
    this.#options.log.error({ detail: error.detail }, 'rules file cannot be used, the last good rules stay')
  }

  async run(): Promise<void> {
    const { directory, effects, log, signal } = this.#options
    const stop = new AbortController()
    const connected = keepConnected({
      effects,
      signal: stop.signal,
      isUrgent: () => this.#streams.waiting > 0,
      connect: (attemptSignal) => this.#connect(attemptSignal),
      onUp: (tunnel) => this.#onUp(tunnel),
      onDown: (error, retryMs) => this.#onDown(error, retryMs),
    })
    const renewed = keepRenewed(this.#identity, {
      directory,
      addresses: this.#addresses,
      effects,
      signal: stop.signal,
      version: PRODUCT_VERSION,
      instance: this.#instance.toString('hex'),
      onRenewed: (identity) => this.#onRenewed(identity),
      onFailure: (err, spent) => log.warn({ err, spent }, 'renewal failed'),
    }).catch((err: unknown) => {
      // A refusal for good: the session goes on until the certificate ends, and the status says why nothing follows.
      if (!stop.signal.aborted) log.error({ err }, 'certificate not renewed')
    })
    const stopped = new Promise<void>((resolve) => {
      if (signal.aborted) resolve()
      else signal.addEventListener('abort', () => resolve(), { once: true })
    })
    await Promise.race([stopped, connected])
    await this.#drain()
    stop.abort(new TunnelError('CANCELLED'))
    await Promise.all([connected, renewed])
  }

  status(): AgentStatus {
    const tunnel = this.#tunnel
    const error = this.#lastError
    return {
      state: tunnel === undefined ? 'connecting' : 'connected',
      connected: tunnel !== undefined,
      site: this.#identity.site,
      agentId: this.#identity.agentId,
      fingerprint: fingerprintOf(this.#identity),
      ...(tunnel === undefined
        ? {}
        : { relay: formatRelayAddress(tunnel.address), session: tunnel.relay.session, since: this.#since }),
      certificateEnds: this.#identity.obtainedAt + this.#identity.lifetimeMs,
      streams: this.#streams.count,
      waiting: this.#streams.waiting,
      denied: this.#streams.denied,
      rules: this.#rules().size,
      attempts: this.#attempt,
      ...(this.#pause === undefined ? {} : { pausedSince: this.#pause.since }),
      ...(this.#rulesError === undefined ? {} : { rulesError: this.#rulesError.detail }),
      ...(error === undefined
        ? {}
        : { lastError: { code: error.code, message: error.message, next: error.next } }),
    }
  }

  async #connect(signal: AbortSignal): Promise<ClientTunnel> {
    const { effects, mask } = this.#options
    // Another address each time, so that a dead one costs one attempt.
    const address = this.#addresses[this.#attempt++ % this.#addresses.length] as RelayAddress
    this.#relayNumbers = await numbersOf(address)
    return openClientTunnel({
      path: '/v1/agent',
      address,
      identity: this.#identity,
      hello: () => ({
        instance: this.#instance,
        held: [...this.#tunnels].map((tunnel) => tunnel.relay.session),
        policyDigest: policyDigest(this.#rules()),
      }),
      effects,
      budget: this.#budget,
      mask: mask ?? 'zero',
      opening: (frame, session) => this.#streams.opening(frame, session),
      signal,
    })
  }

  #onUp(tunnel: ClientTunnel): void {
    this.#tunnels.add(tunnel)
    this.#tunnel = tunnel
    this.#since = this.#options.effects.date()
    this.#lastError = undefined
    this.#options.log.info(
      { relay: formatRelayAddress(tunnel.address), session: tunnel.relay.session },
      'connected',
    )
    void tunnel.closed.then(() => {
      this.#tunnels.delete(tunnel)
      if (this.#tunnel === tunnel) this.#tunnel = undefined
    })
  }

  #onDown(error: TunnelError, retryMs: number): void {
    this.#lastError = error
    const { code, detail } = error
    this.#options.log.warn({ code, detail, retryMs: Math.round(retryMs) }, 'not connected')
    if (endsStreams(error)) this.#streams.close(error)
  }

  #onRenewed(identity: AgentIdentity): void {
    this.#identity = identity
    this.#options.log.info({ generation: identity.generation }, 'certificate renewed')
    this.#tunnel?.retire(RENEWAL_DRAIN_MS)
  }

  async #drain(): Promise<void> {
    const tunnels = [...this.#tunnels]
    const { effects } = this.#options
    // Streams that are left have nowhere to go: their openers are told, and do not look for another path.
    const cancel = effects.after(STOP_DRAIN_MS, () => {
      for (const { session } of tunnels) session.resetAll('SESSION_LOST', 'the agent was stopped')
    })
    for (const tunnel of tunnels) tunnel.drain(STOP_DRAIN_MS + STOP_FLUSH_MS)
    await Promise.all(tunnels.map((tunnel) => tunnel.closed))
    cancel()
    this.#streams.close(new TunnelError('DRAINING'))
  }
}

/** The addresses behind a relay's name, which no rule may reach unless it says so. */
async function numbersOf(address: RelayAddress): Promise<readonly string[]> {
  const answers = await lookup(address.host, { all: true }).catch(() => [])
  return answers.map((answer) => answer.address)
}
