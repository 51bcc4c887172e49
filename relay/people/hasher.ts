import { type Argon2Parameters, argon2, timingSafeEqual } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import { normalPassword } from './password.ts'

/** What a hash costs (RFC 9106): memory in KiB, passes, lanes. */
export interface HashCost {
  readonly memory: number
  readonly passes: number
  readonly parallelism: number
}

/** 19 MiB and two passes, as OWASP asks for; some 30 ms of one core. */
export const HASH_COST: HashCost = { memory: 19_456, passes: 2, parallelism: 1 }

const SALT_BYTES = 16
const TAG_BYTES = 32

/** Hashes at a time: each takes a thread of node's pool, and files want some, too. */
const AT_ONCE = 2

/** Hashes that wait; some two seconds' worth. */
const QUEUE_MAX = 64

/** The PHC form of argon2id, version 1.3. */
const FORM = /^\$argon2id\$v=19\$m=(\d{1,7}),t=(\d{1,3}),p=(\d{1,2})\$([\w+/-]{22})\$([\w+/-]{43})$/

export interface HasherOptions {
  readonly effects: Pick<Effects, 'randomBytes'>
  /** Smaller in tests that hash often. */
  readonly cost?: HashCost
}

/** Hashes passwords by argon2id off the event loop, a few at a time. */
export class PasswordHasher {
  readonly #effects: HasherOptions['effects']
  readonly #cost: HashCost
  /** What nobody's password is compared with: it costs what a real one costs. */
  readonly #decoy: string
  readonly #waiting: (() => void)[] = []
  #running = 0

  constructor({ effects, cost = HASH_COST }: HasherOptions) {
    this.#effects = effects
    this.#cost = cost
    this.#decoy = format(cost, effects.randomBytes(SALT_BYTES), effects.randomBytes(TAG_BYTES))
  }

  /**
   * The text that is kept of a password, with its parameters and salt.
   * @throws {TunnelError} OVERLOADED where too many wait
   */
  async hash(password: Secret<string>): Promise<string> {
    const salt = this.#effects.randomBytes(SALT_BYTES)
    return format(this.#cost, salt, await this.#derive(password, salt, this.#cost))
  }

  /**
   * Whether this is the password. Undefined, for who has none or is nobody, takes as long and is never right.
   * @returns `isOld` where the parameters have risen since, so that it should be hashed anew
   * @throws {TunnelError} OVERLOADED where too many wait; STORE where what was kept is no hash of ours
   */
  async verify(
    password: Secret<string>,
    kept: string | undefined,
  ): Promise<{ isRight: boolean; isOld: boolean }> {
    const { cost, salt, tag } = parse(kept ?? this.#decoy)
    const derived = await this.#derive(password, salt, cost)
    const isRight = timingSafeEqual(derived, tag) && kept !== undefined
    const { memory, passes } = this.#cost
    return { isRight, isOld: cost.memory < memory || cost.passes < passes }
  }

  async #derive(password: Secret<string>, salt: Buffer, cost: HashCost): Promise<Buffer> {
    await this.#enter()
    try {
      return await derive({
        message: normalPassword(password.reveal()),
        nonce: salt,
        tagLength: TAG_BYTES,
        ...cost,
      })
    } finally {
      const next = this.#waiting.shift()
      // The place goes over to the one that waited longest.
      if (next === undefined) this.#running--
      else next()
    }
  }

  #enter(): Promise<void> | undefined {
    if (this.#running < AT_ONCE) {
      this.#running++
      return undefined
    }
    if (this.#waiting.length >= QUEUE_MAX) throw new TunnelError('OVERLOADED', 'Too many logins at once.')
    return new Promise((resolve) => this.#waiting.push(resolve))
  }
}

function derive(parameters: Argon2Parameters): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    argon2('argon2id', parameters, (error, key) => (error === null ? resolve(key) : reject(error)))
  })
}

function format({ memory, passes, parallelism }: HashCost, salt: Buffer, tag: Buffer): string {
  return `$argon2id$v=19$m=${memory},t=${passes},p=${parallelism}$${unpadded(salt)}$${unpadded(tag)}`
}

function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replaceAll('=', '')
}

/** @throws {TunnelError} STORE */
function parse(kept: string): { cost: HashCost; salt: Buffer; tag: Buffer } {
  const [, memory, passes, parallelism, salt = '', tag = ''] = FORM.exec(kept) ?? []
  if (memory === undefined) throw new TunnelError('STORE', 'What is kept of a password is no hash of ours.')
  const cost = { memory: Number(memory), passes: Number(passes), parallelism: Number(parallelism) }
  return { cost, salt: Buffer.from(salt, 'base64'), tag: Buffer.from(tag, 'base64') }
}
