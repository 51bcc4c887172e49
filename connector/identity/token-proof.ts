import * as v from 'valibot'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { encodeTokenNotice } from '../../shared/handshake/token-notice.ts'
import type { TokenCredentials } from '../../shared/identity/credentials.ts'
import type { ClientIdentity } from '../../shared/identity/relay-tls.ts'
import { selfSignedIdentity } from '../../shared/identity/self-signed.ts'
import type { Network } from '../../shared/network/network.ts'
import { firstReachable, readAnswer } from '../../shared/network/relay-answer.ts'
import { exchange } from '../../shared/network/relay-exchange.ts'
import { Secret } from '../../shared/secret.ts'
import type { Proof, ProofEvents, Shown } from './proof.ts'

const TOKEN_PATH = '/api/v1/oauth/token'

/** How long one request for a token may take, in ms. */
const REQUEST_MS = 15_000

/** How long after a failure the next token is asked for again, in ms. */
const RETRY_MS = 10_000

/** Longest single sleep in ms: after it the clocks are read again, as the machine may have been asleep. */
const SLEEP_MAX_MS = 30_000

const answerSchema = v.object({
  access_token: v.pipe(v.string(), v.regex(/^[\w.~+/=-]{1,4096}$/)),
  token_type: v.pipe(v.string(), v.regex(/^bearer$/i)),
  expires_in: v.pipe(v.number(), v.minValue(1), v.maxValue(86_400)),
})

/** A token, and by which clocks it is old. Both count: one stands still while the machine sleeps, the other can be set. */
interface Held {
  readonly token: Secret<string>
  readonly lifeMs: number
  readonly now: number
  readonly date: number
}

export interface TokenProofOptions {
  readonly credentials: TokenCredentials
  /** Directly unless told otherwise. */
  readonly network?: Network | undefined
  readonly effects: Effects
}

/**
 * Tokens for a client secret (RFC 6749 section 4.4), each bound to a key that lives as long as this process and never leaves
 * it (RFC 8705): a token alone opens nothing.
 */
export class TokenProof implements Proof {
  readonly #options: TokenProofOptions
  #identity: ClientIdentity | undefined
  #held: Held | undefined

  constructor(options: TokenProofOptions) {
    this.#options = options
  }

  get shown(): Shown {
    if (this.#identity === undefined || this.#held === undefined)
      throw new TunnelError('INTERNAL', 'no token yet')
    return { ...this.#identity, token: this.#held.token }
  }

  async ready(signal: AbortSignal): Promise<void> {
    if (this.#held === undefined || this.#dueMs(this.#held) <= 0) await this.#ask(signal)
  }

  async replace(signal: AbortSignal): Promise<boolean> {
    await this.#ask(signal)
    return true
  }

  async keep({ notice, failed }: ProofEvents, signal: AbortSignal): Promise<void> {
    const { effects } = this.#options
    const sleep = (ms: number) => effects.sleep(Math.min(ms, SLEEP_MAX_MS), signal).catch(() => undefined)
    while (!signal.aborted) {
      const dueMs = this.#held === undefined ? RETRY_MS : this.#dueMs(this.#held)
      if (dueMs > 0) {
        await sleep(dueMs)
        continue
      }
      try {
        notice(encodeTokenNotice(await this.#ask(signal)))
      } catch (error) {
        if (signal.aborted) return
        failed(isTunnelError(error) ? error : new TunnelError('INTERNAL', '', { cause: error }))
        await sleep(RETRY_MS)
      }
    }
  }

  /** How long until the next token is to be asked for, in ms: at two thirds of its life. */
  #dueMs({ lifeMs, now, date }: Held): number {
    const { effects } = this.#options
    return (lifeMs * 2) / 3 - Math.max(effects.now() - now, effects.date() - date)
  }

  /** @throws {TunnelError} IDENTITY where the relay does not know the client; RELAY_UNREACHABLE and others */
  async #ask(signal: AbortSignal): Promise<Secret<string>> {
    const { credentials, effects } = this.#options
    this.#identity ??= await selfSignedIdentity(effects)
    const [now, date] = [effects.now(), effects.date()]
    const answer = await firstReachable(credentials.addresses, (address) =>
      this.#askAt(address, this.#identity, signal),
    )
    const token = new Secret(answer.access_token)
    this.#held = { token, lifeMs: answer.expires_in * 1_000, now, date }
    return token
  }

  async #askAt(
    address: TokenCredentials['addresses'][number],
    client: ClientIdentity | undefined,
    signal: AbortSignal,
  ): Promise<v.InferOutput<typeof answerSchema>> {
    const { credentials, network } = this.#options
    const form = new URLSearchParams({
      ...{ grant_type: 'client_credentials', client_id: credentials.clientId },
      client_secret: credentials.clientSecret.reveal(),
    })
    const limit = AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)])
    const answer = await exchange(
      {
        ...{ address, trust: credentials, signal: limit },
        ...(client === undefined ? {} : { client }),
        ...(network === undefined ? {} : { network }),
      },
      {
        ...{ method: 'POST', path: TOKEN_PATH, body: form.toString(), mayBeInspected: false },
        contentType: 'application/x-www-form-urlencoded',
      },
    )
    if (answer === undefined) {
      throw new TunnelError('RELAY_IDENTITY', 'An inspector stands in between: no connector may go by it.')
    }
    try {
      return readAnswer(answer, answerSchema, { address, path: TOKEN_PATH })
    } catch (error) {
      if (!isTunnelError(error) || error.code !== 'LOGIN') throw error
      throw new TunnelError('IDENTITY', error.detail, { cause: error })
    }
  }
}
