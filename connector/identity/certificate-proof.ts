import { X509Certificate } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { renewalTime, retryDelay } from '../../shared/identity/renewal-time.ts'
import type { Network } from '../../shared/network/network.ts'
import type { CredentialsKeeper } from './credentials-file.ts'
import type { Proof, ProofEvents, Shown } from './proof.ts'
import { renewCertificate, sameSubject } from './renew-certificate.ts'

/** Relays let certificates begin so long before they make them, in ms, for clocks that are slow. */
const BACKDATE_MS = 5 * 60_000

/** Longest single sleep in ms: after it the clock is read again, as the machine may have been asleep. */
const SLEEP_MAX_MS = 60_000

export interface CertificateProofOptions {
  readonly credentials: ConnectorCredentials
  /** Directly unless told otherwise. */
  readonly network?: Network | undefined
  /** Without one the certificate is not renewed. */
  readonly keeper?: CredentialsKeeper | undefined
  readonly effects: Effects
}

/**
 * The certificate of the credentials, renewed in time where they are kept. The one before stays good until the relay has
 * seen the next: a crash at any moment leaves one of both in the file, and either is taken.
 */
export class CertificateProof implements Proof {
  readonly #options: CertificateProofOptions
  #credentials: ConnectorCredentials

  constructor(options: CertificateProofOptions) {
    this.#options = options
    this.#credentials = options.credentials
  }

  get shown(): Shown {
    const { certificate, key } = this.#credentials
    return { certificate, key }
  }

  async ready(): Promise<void> {
    // A certificate is there from the beginning.
  }

  /** Another process may have renewed it. */
  async replace(): Promise<boolean> {
    const { keeper } = this.#options
    const kept = await keeper?.read()
    return kept !== undefined && this.#take(kept)
  }

  async keep({ changed, failed }: ProofEvents, signal: AbortSignal): Promise<void> {
    const { keeper, effects } = this.#options
    if (keeper === undefined) return
    let failures = 0
    let due = this.#dueAt()
    while (!signal.aborted) {
      const left = due - effects.date()
      if (left > 0) {
        await effects.sleep(Math.min(left, SLEEP_MAX_MS), signal).catch(() => undefined)
        continue
      }
      try {
        if (await keeper.alone(() => this.#renew(keeper, signal))) changed()
        failures = 0
        due = this.#dueAt()
      } catch (error) {
        if (signal.aborted) return
        failures++
        failed(isTunnelError(error) ? error : new TunnelError('INTERNAL', '', { cause: error }))
        due = effects.date() + retryDelay(failures, lifeOf(this.#credentials).ms, effects.random())
      }
    }
  }

  async #renew(keeper: CredentialsKeeper, signal: AbortSignal): Promise<boolean> {
    const kept = await keeper.read()
    if (this.#take(kept)) return true
    // What cannot be kept is not asked for.
    await keeper.write(kept)
    const { network, effects } = this.#options
    const next = await renewCertificate(kept, { network, effects, signal })
    await keeper.write(next)
    return this.#take(next)
  }

  /** @returns false where it is what is shown already @throws {TunnelError} CREDENTIALS where it is somebody else's */
  #take(kept: ConnectorCredentials): boolean {
    if (!sameSubject(kept, this.#credentials)) {
      throw new TunnelError('CREDENTIALS', 'The file holds the credentials of another connector now.')
    }
    if (kept.certificate === this.#credentials.certificate) return false
    this.#credentials = kept
    return true
  }

  #dueAt(): number {
    const { effects } = this.#options
    const { from, ms } = lifeOf(this.#credentials)
    return renewalTime(from, ms, effects.date(), effects.random())
  }
}

function lifeOf({ certificate }: ConnectorCredentials): { readonly from: number; readonly ms: number } {
  const { validFromDate, validToDate } = new X509Certificate(certificate)
  const end = validToDate.getTime()
  const from = Math.min(validFromDate.getTime() + BACKDATE_MS, end)
  return { from, ms: end - from }
}
