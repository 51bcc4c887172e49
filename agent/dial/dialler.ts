import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import type { AddressContext } from '../../shared/policy/decide.ts'
import type { Rule } from '../../shared/policy/rule.ts'
import { addressContext } from './address-context.ts'
import type { ConnectOptions } from './connect.ts'
import { dialTarget } from './dial.ts'
import type { Resolver } from './resolve.ts'

/** How long resolving and connecting may take together, in ms; below the opener's own 15 s. */
const DIAL_MS = 10_000

/** How long the list of this host's own addresses is used, in ms. */
const CONTEXT_MS = 1_000

export interface DiallerOptions {
  readonly effects: Effects
  readonly resolver: Resolver
  /** Numbers of the relays that the agent is connected to. */
  readonly relayAddresses: () => Iterable<string>
  /** Hears how each dial went. */
  readonly health: { dialled(resource: string, error?: unknown): void }
}

/** Dials the targets of rules, and knows what they must not be without a rule's word. */
export class Dialler {
  readonly #options: DiallerOptions
  #context: AddressContext | undefined
  #contextUntil = 0

  constructor(options: DiallerOptions) {
    this.#options = options
  }

  /** Addresses of this host and of the relays, at most a second old. */
  get context(): AddressContext {
    const now = this.#options.effects.now()
    if (this.#context === undefined || now >= this.#contextUntil) {
      this.#context = addressContext(this.#options.relayAddresses())
      this.#contextUntil = now + CONTEXT_MS
    }
    return this.#context
  }

  /** @throws {TunnelError} as dialTarget does */
  async dial(
    rule: Rule,
    signal: AbortSignal,
    socketOptions?: ConnectOptions['socketOptions'],
  ): Promise<Socket> {
    const { effects, resolver, health } = this.#options
    const { context } = this
    try {
      const options = { signal, deadlineMs: DIAL_MS, effects, resolver, context, socketOptions }
      const socket = await dialTarget(rule, options)
      health.dialled(rule.resource)
      return socket
    } catch (error) {
      health.dialled(rule.resource, error)
      throw error
    }
  }
}
