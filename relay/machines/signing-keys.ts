import { createPrivateKey, createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import type { SecretStore } from '../store/secret-queries.ts'
import { TOKEN_LIFE_S } from './token-life.ts'

/** A key that signs the tokens of a tenant. */
export interface SigningKey {
  /** When it was made, in ms since 1970 (13 digits), and 8 random bytes in hexadecimal. */
  readonly kid: string
  readonly privateKey: KeyObject
  readonly publicKey: KeyObject
}

/** How long a key signs, in ms: 30 days. */
export const SIGNS_MS = 30 * 86_400_000

/** How long a relay signs with what it read, in ms: then it looks whether another relay has made a new key. */
export const REMEMBERED_MS = 60_000

/** How long a key stays behind its successor, in ms: until every token of it is over, at other relays too. */
const STAYS_MS = TOKEN_LIFE_S * 1_000 + 2 * REMEMBERED_MS

const PREFIX = 'machine-token/'
const KID = /^[0-9]{13}-[0-9a-f]{16}$/

type KeyStore = Pick<SecretStore, 'listSecrets' | 'getSecret' | 'putSecret' | 'removeSecret'>

interface Remembered {
  readonly key: Promise<SigningKey>
  /** By the monotonic clock, in ms. */
  readonly until: number
}

/**
 * The keys that sign tokens, a tenant's among its secrets: they outlive the relay's process and are the same for every relay
 * of one store. Two relays that make one at once have two, and both count.
 */
export class SigningKeys {
  readonly #store: KeyStore
  readonly #effects: Pick<Effects, 'now' | 'date' | 'randomBytes'>
  readonly #current = new Map<string, Remembered>()

  constructor(store: KeyStore, effects: Pick<Effects, 'now' | 'date' | 'randomBytes'>) {
    this.#store = store
    this.#effects = effects
  }

  /** The key that signs now; a new one where there is none, or it has signed long enough. @throws {TunnelError} STORE */
  current(tenantId: string): Promise<SigningKey> {
    const known = this.#current.get(tenantId)
    const now = this.#effects.now()
    if (known !== undefined && now < known.until) return known.key
    const key = this.#read(tenantId)
    this.#current.set(tenantId, { key, until: now + REMEMBERED_MS })
    key.catch(() => this.#current.delete(tenantId))
    return key
  }

  /** The key of that name; undefined where there is none, or no name of a key. @throws {TunnelError} STORE */
  async find(tenantId: string, kid: string): Promise<SigningKey | undefined> {
    if (!KID.test(kid)) return undefined
    const secret = await this.#store.getSecret(tenantId, PREFIX + kid)
    return secret && keyOf(kid, secret.reveal())
  }

  async #read(tenantId: string): Promise<SigningKey> {
    const names = await this.#store.listSecrets(tenantId)
    const kids = names.filter((name) => name.startsWith(PREFIX)).map((name) => name.slice(PREFIX.length))
    const newest = kids.sort().at(-1)
    const now = this.#effects.date()
    if (newest === undefined || now >= madeAt(newest) + SIGNS_MS) return this.#make(tenantId)
    if (now >= madeAt(newest) + STAYS_MS) await this.#remove(tenantId, kids.slice(0, -1))
    return (await this.find(tenantId, newest)) ?? this.#make(tenantId)
  }

  async #make(tenantId: string): Promise<SigningKey> {
    const kid = `${String(this.#effects.date()).padStart(13, '0')}-${this.#effects.randomBytes(8).toString('hex')}`
    const { privateKey } = generateKeyPairSync('ed25519')
    const der = privateKey.export({ type: 'pkcs8', format: 'der' })
    await this.#store.putSecret(tenantId, PREFIX + kid, der, this.#act())
    return keyOf(kid, der)
  }

  async #remove(tenantId: string, kids: readonly string[]): Promise<void> {
    for (const kid of kids) await this.#store.removeSecret(tenantId, PREFIX + kid, this.#act())
  }

  #act() {
    const traceId = this.#effects.randomBytes(16).toString('hex')
    return { actor: { kind: 'relay', id: '' }, source: 'local', traceId, at: this.#effects.date() } as const
  }
}

function madeAt(kid: string): number {
  return Number(kid.slice(0, 13))
}

function keyOf(kid: string, der: Buffer): SigningKey {
  const privateKey = createPrivateKey({ key: der, format: 'der', type: 'pkcs8' })
  return { kid, privateKey, publicKey: createPublicKey(privateKey) }
}
