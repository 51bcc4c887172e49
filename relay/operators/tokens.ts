import { createHash } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'

/** How long a token of the operator may live, in ms. */
export const OPERATOR_TOKEN_LIFE = { min: 60_000, max: 12 * 3_600_000, usual: 3_600_000 } as const

/** Tokens at once. */
const TOKENS_MAX = 100

const PREFIX = 'sp_operator_'

/** A token as it is listed. */
export interface OperatorToken {
  readonly id: string
  /** What it is for. */
  readonly name: string
  /** Ms since 1970. */
  readonly createdAt: number
  readonly expiresAt: number
}

/**
 * Tokens by which the operator of the machine does from elsewhere what concerns the relay as a whole. They live for hours at most
 * and in memory only, so that a restart ends them all, and no backup and no copy of the store holds one.
 */
export class OperatorTokens {
  readonly #effects: Pick<Effects, 'date' | 'randomBytes'>
  /** By the SHA-256 of the text. */
  readonly #tokens = new Map<string, OperatorToken>()

  constructor(effects: Pick<Effects, 'date' | 'randomBytes'>) {
    this.#effects = effects
  }

  /** @param lifeMs within {@link OPERATOR_TOKEN_LIFE} @throws {TunnelError} CONFLICT where there are too many */
  add(name: string, lifeMs: number): OperatorToken & { readonly text: Secret<string> } {
    if (this.list().length >= TOKENS_MAX) {
      throw new TunnelError('CONFLICT', `There are ${TOKENS_MAX} tokens of the operator.`)
    }
    const createdAt = this.#effects.date()
    const id = this.#effects.randomBytes(8).toString('hex')
    const text = `${PREFIX}${this.#effects.randomBytes(32).toString('base64url')}`
    const token = { id, name, createdAt, expiresAt: createdAt + lifeMs }
    this.#tokens.set(hashOf(text), token)
    return { ...token, text: new Secret(text) }
  }

  /** Those that are good, in the order in which they were made. */
  list(): readonly OperatorToken[] {
    const now = this.#effects.date()
    for (const [hash, { expiresAt }] of this.#tokens) if (expiresAt <= now) this.#tokens.delete(hash)
    return [...this.#tokens.values()]
  }

  /** @returns false where there is no such token */
  remove(id: string): boolean {
    const found = [...this.#tokens].find(([, token]) => token.id === id)
    return found !== undefined && this.#tokens.delete(found[0])
  }

  /** @returns undefined for what is no such token at all @throws {TunnelError} LOGIN where it is over, or none of this relay's */
  verify(text: string): OperatorToken | undefined {
    if (!text.startsWith(PREFIX)) return undefined
    const token = this.#tokens.get(hashOf(text))
    if (token !== undefined && token.expiresAt > this.#effects.date()) return token
    throw new TunnelError('LOGIN', 'The token does not hold, or is over.')
  }
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('base64')
}
