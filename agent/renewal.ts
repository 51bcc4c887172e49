import type { Effects } from '../shared/effects.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import { createCsr } from '../shared/identity/csr.ts'
import { RENEW_PATH, type RenewRequest, renewResponseSchema } from '../shared/identity/enrollment-messages.ts'
import { exportKey, generateKey } from '../shared/identity/keys.ts'
import type { RelayAddress } from '../shared/identity/relay-address.ts'
import { renewalTime, retryDelay } from '../shared/identity/renewal-time.ts'
import type { Network } from '../shared/network/network.ts'
import { firstReachable } from '../shared/network/relay-answer.ts'
import { Secret } from '../shared/secret.ts'
import { withDeadline } from './enrollment.ts'
import { type AgentIdentity, belongTogether, writeIdentity } from './identity-store.ts'
import { postToRelay } from './relay-request.ts'

/** Longest single sleep in milliseconds: after it the wall clock is read again, as a machine may have been asleep. */
const SLEEP_MAX_MS = 60_000

/** How much of the certificate's life is over: 0 fresh, 1 ended. From 0.8 on somebody should look. */
export function spentLife(identity: AgentIdentity, now: number): number {
  return Math.min(1, Math.max(0, (now - identity.obtainedAt) / identity.lifetimeMs))
}

export interface RenewOptions {
  readonly directory: string
  /** Where the relay is, from the settings. */
  readonly addresses: readonly RelayAddress[]
  /** How to get there; directly unless told otherwise. */
  readonly network?: Network
  readonly effects: Effects
  readonly signal: AbortSignal
  /** Version of this program. */
  readonly version: string
  /** Nonce of this process. */
  readonly instance: string
}

/**
 * Gets the next certificate for a fresh key and stores both before it resolves; the present ones stay good until the
 * new ones are used for the first time, so nothing is lost where it fails half-way.
 *
 * @throws {TunnelError} REVOKED, IDENTITY, EXPIRED: asking again is of no use; RELAY_UNREACHABLE and others: it is
 */
export async function renewOnce(identity: AgentIdentity, options: RenewOptions): Promise<AgentIdentity> {
  const key = await generateKey()
  const body: RenewRequest = {
    csr: await createCsr(key),
    version: options.version,
    instance: options.instance,
  }
  const answer = await firstReachable(options.addresses, (address) =>
    postToRelay({
      ...(options.network === undefined ? {} : { network: options.network }),
      address,
      trust: identity,
      client: identity,
      path: RENEW_PATH,
      body,
      answer: renewResponseSchema,
      signal: withDeadline(options.signal),
    }),
  )
  const { fingerprint: _fingerprint, ...issued } = answer
  const next: AgentIdentity = {
    ...identity,
    ...issued,
    key: new Secret(exportKey(key)),
    obtainedAt: options.effects.date(),
  }
  if (!belongTogether(next))
    throw new TunnelError('PROTOCOL', 'The relay sent a certificate for another key.')
  await writeIdentity(options.directory, next)
  return next
}

export interface KeepRenewedOptions extends RenewOptions {
  /** Called with each new identity, which is stored already; the next session should use it. */
  readonly onRenewed: (identity: AgentIdentity) => void
  /** Called with each failure that will be tried again, and the share of life that is over. */
  readonly onFailure: (err: unknown, spentLife: number) => void
  /** Stands in for {@link renewOnce} in tests. */
  readonly renew?: typeof renewOnce
}

/** Refusals that the next attempt would only get again. */
const FINAL: ReadonlySet<string> = new Set(['REVOKED', 'IDENTITY', 'EXPIRED'])

/**
 * Renews the identity for as long as the process runs.
 *
 * @throws {TunnelError} REVOKED, IDENTITY or EXPIRED where the relay refuses for good; the reason of the signal
 */
export async function keepRenewed(identity: AgentIdentity, options: KeepRenewedOptions): Promise<never> {
  const { effects, signal } = options
  const renew = options.renew ?? renewOnce
  let current = identity
  let failures = 0
  let due = renewalTime(current.obtainedAt, current.lifetimeMs, effects.date(), effects.random())
  for (;;) {
    await sleepUntil(due, effects, signal)
    try {
      current = await renew(current, options)
      failures = 0
      options.onRenewed(current)
      due = renewalTime(current.obtainedAt, current.lifetimeMs, effects.date(), effects.random())
    } catch (err) {
      signal.throwIfAborted()
      if (isTunnelError(err) && FINAL.has(err.code)) throw err
      failures += 1
      options.onFailure(err, spentLife(current, effects.date()))
      due = effects.date() + retryDelay(failures, current.lifetimeMs, effects.random())
    }
  }
}

async function sleepUntil(due: number, effects: Effects, signal: AbortSignal): Promise<void> {
  for (let now = effects.date(); now < due; now = effects.date()) {
    await effects.sleep(Math.min(due - now, SLEEP_MAX_MS), signal)
  }
  signal.throwIfAborted()
}
