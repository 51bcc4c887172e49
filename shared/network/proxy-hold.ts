import { createHash } from 'node:crypto'
import type { Effects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import { formatRoute, type ProxyCredentials, type ProxyRoute } from './route.ts'

/** How long a refused password is not sent again, in ms: doubled with each refusal. Directories lock after 3 to 10. */
const HOLD = { first: 300_000, most: 3_600_000 } as const

/**
 * The cause of an error whose proxy had seen the password and did not open the way. With PROXY_AUTH it refused the password;
 * with another code it may have.
 */
export class CredentialsRefused extends Error {}

interface State {
  refusals: number
  /** On the clock of `now`. */
  until: number
  isProved: boolean
  /** An attempt with a password that nobody has accepted yet. */
  pending: Promise<void> | undefined
}

/**
 * Keeps a wrong password from being sent so often that the account is locked. While it is not known to be right, one
 * attempt at a time is made with it; once it was refused, the next is minutes away, whoever in this process asks. Another
 * user or password starts anew.
 */
export class ProxyHold {
  readonly #effects: Pick<Effects, 'now'>
  readonly #states = new Map<string, State>()

  constructor(effects: Pick<Effects, 'now'>) {
    this.#effects = effects
  }

  /** @throws {TunnelError} PROXY_AUTH without an attempt while the password is held back; what `attempt` throws */
  async guard<T>(
    proxy: ProxyRoute,
    credentials: ProxyCredentials | undefined,
    attempt: () => Promise<T>,
  ): Promise<T> {
    if (credentials === undefined) return attempt()
    const state = this.#stateOf(proxy, credentials)
    while (!state.isProved && state.pending !== undefined) await state.pending
    const left = state.until - this.#effects.now()
    if (left > 0) throw heldBack(proxy, left)
    const done = Promise.withResolvers<void>()
    state.pending = done.promise
    try {
      const result = await attempt()
      Object.assign(state, { isProved: true, refusals: 0 })
      return result
    } catch (err) {
      if (isRefusal(err) && (err.code === 'PROXY_AUTH' || !state.isProved)) this.#refused(state)
      throw err
    } finally {
      state.pending = undefined
      done.resolve()
    }
  }

  #refused(state: State): void {
    state.isProved = false
    const holdMs = Math.min(HOLD.most, HOLD.first * 2 ** Math.min(state.refusals++, 20))
    state.until = this.#effects.now() + holdMs
  }

  #stateOf(proxy: ProxyRoute, { user, password }: ProxyCredentials): State {
    // A hash, so that no password stays in memory for the sake of comparing.
    const key = createHash('sha256')
      .update(JSON.stringify([formatRoute(proxy), user, password.reveal()]))
      .digest('base64')
    const known = this.#states.get(key)
    if (known !== undefined) return known
    const state: State = { refusals: 0, until: Number.NEGATIVE_INFINITY, isProved: false, pending: undefined }
    this.#states.set(key, state)
    return state
  }
}

function isRefusal(err: unknown): err is TunnelError {
  return isTunnelError(err) && err.cause instanceof CredentialsRefused
}

function heldBack(proxy: ProxyRoute, leftMs: number): TunnelError {
  const minutes = Math.ceil(leftMs / 60_000)
  return new TunnelError(
    'PROXY_AUTH',
    `${formatRoute(proxy)} did not open the way for this user and password; they are not sent again for ${minutes} min.`,
    { next: 'put the right USER:PASSWORD into the credentials file: then it is tried at once' },
  )
}
