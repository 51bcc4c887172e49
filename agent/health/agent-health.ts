import type { Effects } from '../../shared/effects.ts'
import type { AgentCondition } from '../../shared/handshake/health.ts'
import type { Logger } from '../../shared/log.ts'
import type { Rules } from '../../shared/policy/rule.ts'
import type { ClientTunnel } from '../../shared/tunnel/client-tunnel.ts'
import { addressContext } from '../dial/address-context.ts'
import type { Resolver } from '../dial/resolve.ts'
import { probeTarget } from './probe.ts'
import { HealthReporter } from './report.ts'
import type { SeenCertificates } from './tls.ts'
import { HealthWatch, type TargetStatus } from './watch.ts'

export interface AgentHealthOptions {
  readonly effects: Effects
  readonly log: Logger
  readonly resolver: Resolver
  /** Numbers of the relays that the agent is connected to. */
  readonly relayAddresses: () => Iterable<string>
}

/** Something that holds for the whole agent, since a time in ms since 1970. */
export type Standing = Pick<AgentCondition, 'state' | 'code'> & { readonly since: number }

/** How the targets of an agent are: asked all the time, and told to every relay it is connected to. */
export class AgentHealth implements Disposable {
  readonly #watch: HealthWatch
  readonly #reporter: HealthReporter
  #standing: readonly Standing[] = []

  constructor({ effects, log, resolver, relayAddresses }: AgentHealthOptions) {
    this.#reporter = new HealthReporter({
      effects,
      reports: (resources) => this.#watch.reports(resources),
      conditions: () =>
        this.#standing.map(({ since, ...rest }) => ({ ...rest, ageMs: effects.date() - since })),
    })
    const seen: SeenCertificates = new Map()
    this.#watch = new HealthWatch({
      effects,
      log,
      probe: (rule, signal) =>
        probeTarget(rule, { signal, effects, resolver, seen, context: addressContext(relayAddresses()) }),
      onChange: (resources) => this.#reporter.changed(resources),
    })
  }

  /** Takes the rules in force; the first ones begin it. */
  follow(rules: Rules): void {
    this.#watch.follow(rules)
  }

  /** Reports over this tunnel until it is closed. */
  carry(tunnel: Pick<ClientTunnel, 'session' | 'closed'>): void {
    this.#reporter.begin(tunnel.session)
    void tunnel.closed.then(() => this.#reporter.end(tunnel.session))
  }

  /** Takes what holds for the whole agent, which every relay is told. */
  tell(standing: readonly Standing[]): void {
    this.#standing = standing
    this.#reporter.conditionChanged()
  }

  /** True: nothing is asked, and every target counts as out of reach. */
  pause(isPaused: boolean): void {
    this.#watch.pause(isPaused)
  }

  /** A stream dialled the target of a resource, with this failure or none. */
  dialled(resource: string, error?: unknown): void {
    this.#watch.dialled(resource, error)
  }

  /** Since when a target fails, in ms since 1970; undefined where it does not. */
  failingSince(resource: string): number | undefined {
    return this.#watch.failingSince(resource)
  }

  list(): readonly TargetStatus[] {
    return this.#watch.list()
  }

  [Symbol.dispose](): void {
    this.#watch[Symbol.dispose]()
    this.#reporter[Symbol.dispose]()
  }
}
