import { aborted } from '../shared/abort.ts'
import { TunnelError } from '../shared/errors.ts'
import type { RelayAddress } from '../shared/identity/relay-address.ts'
import { Attention } from '../shared/mux/attention.ts'
import { createWindowBudget } from '../shared/mux/window.ts'
import type { Network } from '../shared/network/network.ts'
import type { Rules } from '../shared/policy/rule.ts'
import { describeRunning } from '../shared/release/running.ts'
import { formatStatement } from '../shared/release/statement.ts'
import { type ClientTunnel, openClientTunnel } from '../shared/tunnel/client-tunnel.ts'
import { PRODUCT_VERSION } from '../shared/version.ts'
import type { AgentOptions } from './agent.ts'
import { type AgentStatus, failureOf, statusOfSession } from './agent-status.ts'
import type { AgentAudit } from './audit/trail.ts'
import { createResolver } from './dial/resolve.ts'
import { fingerprintOf } from './enrollment.ts'
import { AgentHealth } from './health/agent-health.ts'
import type { AgentIdentity } from './identity-store.ts'
import type { Pause } from './local/pause.ts'
import { createPathWatch, type PathWatch } from './path-watch.ts'
import { createRelayNumbers } from './relay-numbers.ts'
import { keepRenewed } from './renewal.ts'
import { policyDigest } from './rules/digest.ts'
import { AgentSessions } from './sessions.ts'
import type { AgentSettings } from './settings.ts'
import { AgentStreams } from './streams.ts'

/** Windows of all streams beyond 256 KiB each, in bytes. */
const WINDOW_BUDGET_BYTES = 256 * 1024 * 1024

/** What an agent that has joined does from its start to its end: sessions, streams and health under the rules of now. */
export class RunningAgent {
  readonly #options: AgentOptions
  readonly #instance: Buffer
  readonly #budget = createWindowBudget(WINDOW_BUDGET_BYTES)
  readonly #attention = new Attention()
  readonly #addresses: readonly RelayAddress[]
  readonly #sessions: AgentSessions
  readonly #network: Network
  #identity: AgentIdentity
  readonly #path: PathWatch
  readonly #relayNumbers = createRelayNumbers()
  #rulesFault: { readonly error: TunnelError; readonly since: number } | undefined
  #pause: Pause | undefined
  #rules: () => Rules = () => new Map()
  readonly #streams: AgentStreams
  readonly #health: AgentHealth

  constructor(
    options: AgentOptions,
    identity: AgentIdentity,
    settings: AgentSettings,
    network: Network,
    audit: AgentAudit,
  ) {
    this.#options = options
    this.#identity = identity
    this.#network = network
    this.#addresses = settings.addresses
    this.#path = createPathWatch({ ...options, ...settings })
    this.#instance = options.effects.randomBytes(16)
    const { effects, log } = options
    const dialling = {
      effects,
      log,
      resolver: options.resolver ?? createResolver({ effects }),
      relayAddresses: () => this.#relayNumbers.all(),
    }
    this.#health = new AgentHealth(dialling)
    this.#streams = new AgentStreams({
      ...dialling,
      agentId: identity.agentId,
      audit,
      rules: () => this.#rules(),
      health: this.#health,
    })
    this.#sessions = new AgentSessions({
      effects,
      log,
      count: options.sessions ?? settings.sessions,
      addresses: settings.addresses,
      open: (address, held, signal, others) => this.#open(address, held, signal, others),
      isUrgent: () => this.#streams.waiting > 0,
      onRefused: (error) => this.#streams.close(error),
    })
  }

  begin(rules: () => Rules): void {
    this.#rules = rules
    if (this.#rulesFault !== undefined)
      this.#options.log.warn({ rules: rules().size }, 'begins with the last good rules')
  }

  pause(pause: Pause | undefined): void {
    this.#pause = pause
    this.#streams.pause(pause !== undefined)
    this.#health.pause(pause !== undefined)
    this.#tell()
  }

  rulesChanged(rules: Rules): void {
    this.#streams.enforce(rules)
    this.#followTargets()
  }

  rulesGood(): void {
    if (this.#rulesFault === undefined) return
    this.#rulesFault = undefined
    this.#tell()
  }

  rulesFailed(error: TunnelError): void {
    const { effects, log } = this.#options
    this.#rulesFault = { error, since: effects.date() }
    log.error({ detail: error.detail }, 'rules file cannot be used, the last good rules stay')
    this.#tell()
  }

  async run(): Promise<void> {
    const { directory, effects, log, signal } = this.#options
    const stop = new AbortController()
    const connected = this.#sessions.run(stop.signal)
    const renewed = keepRenewed(this.#identity, {
      directory,
      addresses: this.#addresses,
      network: this.#network,
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
    await Promise.race([aborted(signal), connected])
    this.#health[Symbol.dispose]()
    await this.#sessions.drain()
    this.#streams.stop()
    stop.abort(new TunnelError('CANCELLED'))
    await Promise.all([connected, renewed])
  }

  status(): AgentStatus {
    const sessions = this.#sessions.standing.map(statusOfSession)
    const main = sessions.find(({ leaving }) => !leaving) ?? sessions[0]
    const error = this.#sessions.lastError
    const { release } = this.#options
    return {
      state: main === undefined ? 'connecting' : 'connected',
      connected: main !== undefined,
      site: this.#identity.site,
      agentId: this.#identity.agentId,
      fingerprint: fingerprintOf(this.#identity),
      ...(release === undefined ? {} : { release: describeRunning(release) }),
      ...(main === undefined ? {} : { relay: main.relay, session: main.session, since: main.since }),
      sessions,
      ...(main === undefined ? { downSince: this.#sessions.downSince } : {}),
      certificateEnds: this.#identity.obtainedAt + this.#identity.lifetimeMs,
      streams: this.#streams.count,
      waiting: this.#streams.waiting,
      resumes: this.#streams.resumes,
      denied: this.#streams.denied,
      rules: this.#rules().size,
      targets: this.#health.list(),
      attempts: this.#sessions.dialled,
      pingIntervalMs: this.#path.pingIntervalMs,
      ...(this.#path.clockSkewMs === undefined ? {} : { clockSkewMs: this.#path.clockSkewMs }),
      ...(this.#pause === undefined ? {} : { pausedSince: this.#pause.since }),
      ...(this.#rulesFault === undefined ? {} : { rulesError: this.#rulesFault.error.detail }),
      ...(error === undefined ? {} : { lastError: failureOf(error) }),
    }
  }

  async #open(
    address: RelayAddress,
    held: () => Promise<readonly string[]>,
    signal: AbortSignal,
    otherAddresses: readonly RelayAddress[],
  ): Promise<ClientTunnel> {
    const { effects, mask, release } = this.#options
    // Not before: until the relay's numbers are known a probe could reach it by a rule that does not say so.
    void this.#relayNumbers.learn([address, ...otherAddresses]).then(() => this.#followTargets())
    const tunnel = await openClientTunnel({
      path: '/v1/agent',
      address,
      otherAddresses,
      pingIntervalMs: this.#path.pingIntervalMs,
      identity: () => ({ ...this.#identity, network: this.#network }),
      hello: async () => ({
        instance: this.#instance,
        held: await held(),
        policyDigest: policyDigest(this.#rules()),
        ...(release?.isSigned === true ? { release: formatStatement(release) } : {}),
      }),
      effects,
      budget: this.#budget,
      attention: this.#attention,
      mask: mask ?? 'zero',
      opening: (frame, session) => this.#streams.opening(frame, session),
      signal,
    })
    this.#path.watch(tunnel)
    this.#health.carry(tunnel)
    return tunnel
  }

  /** Tells the relays what holds for all resources of the site. */
  #tell(): void {
    const [pause, fault] = [this.#pause, this.#rulesFault]
    this.#health.tell([
      ...(pause === undefined ? [] : [{ state: 'failing', code: 'PAUSED', since: pause.since } as const]),
      ...(fault === undefined ? [] : [{ state: 'warn', code: 'POLICY', since: fault.since } as const]),
    ])
  }

  #followTargets(): void {
    if (this.#options.probes !== false && this.#relayNumbers.isKnown) this.#health.follow(this.#rules())
  }

  #onRenewed(identity: AgentIdentity): void {
    this.#identity = identity
    this.#options.log.info({ generation: identity.generation }, 'certificate renewed')
    this.#sessions.replaceAll()
  }
}
