import type { Effects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'
import type { Database } from '../change.ts'
import { type Belonging, KEY_BYTES, seal, unseal } from './envelope.ts'
import type { KeyWrapper } from './master-key.ts'

/** A cell of the store that holds a secret. */
export interface Cell {
  readonly tenantId: string
  readonly table: string
  readonly column: string
  /** The rest of the row's key. */
  readonly row: string
}

/** A key of a tenant that is open. */
export interface TenantKey {
  readonly version: number
  readonly key: Secret<Buffer>
}

export interface VaultOptions {
  readonly db: Database
  readonly effects: Pick<Effects, 'randomBytes' | 'date'>
  /** The one in use first; the others open what they wrapped once. */
  readonly wrappers: () => readonly KeyWrapper[]
}

/** What seals and opens the secrets of a tenant. */
export type TenantVault = Pick<
  Vault,
  'current' | 'keysOf' | 'seal' | 'unseal' | 'addKey' | 'rewrap' | 'forget'
>

/** Before each sealed cell: the version of the key, 4 bytes, the most significant first. */
const VERSION_BYTES = 4

/** Between the name of a wrapper and the key that it wrapped. */
const SEPARATOR = 0x3a

/**
 * The keys of the tenants, each made when it is first needed, kept wrapped in the store and open in memory. A secret is
 * sealed under its tenant's key and belongs to its cell.
 */
export class Vault {
  readonly #options: VaultOptions
  readonly #open = new Map<string, readonly TenantKey[]>()

  constructor(options: VaultOptions) {
    this.#options = options
  }

  /** The key in use of a tenant. Outside of transactions: a key service may take its time. */
  async current(tenantId: string): Promise<TenantKey> {
    const [newest] = await this.keysOf(tenantId)
    if (newest !== undefined) return newest
    await this.addKey(tenantId, 1)
    const [made] = await this.keysOf(tenantId)
    if (made === undefined) throw new TunnelError('NOT_FOUND', `There is no tenant ${tenantId}.`)
    return made
  }

  seal(key: TenantKey, cell: Cell, plaintext: Uint8Array): Buffer {
    const version = Buffer.alloc(VERSION_BYTES)
    version.writeUInt32BE(key.version)
    const sealed = seal(key.key.reveal(), belongingOf(cell, key.version), plaintext, this.#options.effects)
    return Buffer.concat([version, sealed])
  }

  /**
   * Opens a cell with one of `keys`.
   * @throws {TunnelError} STORE where the cell was changed or moved, or its key is not among them
   */
  unseal(keys: readonly TenantKey[], cell: Cell, sealed: Uint8Array): Buffer {
    const version = versionOf(sealed)
    const known = keys.find((one) => one.version === version)
    if (known === undefined) throw new TunnelError('STORE', `The key ${version} of ${cell.tenantId} is gone.`)
    return unseal(known.key.reveal(), belongingOf(cell, version), sealed.subarray(VERSION_BYTES))
  }

  /** Makes the key with this version, where there is none yet. */
  async addKey(tenantId: string, version: number): Promise<void> {
    const { db, effects } = this.#options
    const wrapped = await this.#wrap(effects.randomBytes(KEY_BYTES), tenantId, version)
    const values = { tenant_id: tenantId, version, wrapped, created_at: effects.date() }
    await db
      .insertInto('tenant_keys')
      .values(values)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    this.forget(tenantId)
  }

  /** The keys that a tenant has now, for a transaction: there it asks nobody, and where one is missing it ends. */
  async opened(tenantId: string): Promise<TenantVault> {
    const keys = await this.keysOf(tenantId)
    const refuse = (): never => {
      throw new TunnelError('CONFLICT', 'The key of the tenant was replaced meanwhile.', {
        next: 'try again',
      })
    }
    return {
      current: async () => keys[0] ?? refuse(),
      keysOf: async () => keys,
      seal: (...args) => this.seal(...args),
      unseal: (...args) => this.unseal(...args),
      addKey: async () => refuse(),
      rewrap: async () => refuse(),
      forget: refuse,
    }
  }

  /** Wraps every key of a tenant anew with the wrapper in use. */
  async rewrap(tenantId: string): Promise<void> {
    for (const { version, key } of await this.keysOf(tenantId)) {
      const wrapped = await this.#wrap(key.reveal(), tenantId, version)
      await this.#options.db
        .updateTable('tenant_keys')
        .set({ wrapped })
        .where('tenant_id', '=', tenantId)
        .where('version', '=', version)
        .execute()
    }
  }

  /** The keys of this tenant are read anew when they are needed. */
  forget(tenantId: string): void {
    this.#open.delete(tenantId)
  }

  async #wrap(key: Buffer, tenantId: string, version: number): Promise<Buffer> {
    const [wrapper] = this.#options.wrappers()
    if (wrapper === undefined) throw noMasterKey()
    const wrapped = await wrapper.wrap(key, keyBelonging(tenantId, version))
    return Buffer.concat([Buffer.from(wrapper.name), Buffer.of(SEPARATOR), wrapped])
  }

  /** All keys of a tenant, the newest first. Outside of transactions. */
  async keysOf(tenantId: string): Promise<readonly TenantKey[]> {
    const known = this.#open.get(tenantId)
    if (known !== undefined) return known
    const rows = await this.#options.db
      .selectFrom('tenant_keys')
      .select(['version', 'wrapped'])
      .where('tenant_id', '=', tenantId)
      .orderBy('version', 'desc')
      .execute()
    const keys: TenantKey[] = []
    for (const { version, wrapped } of rows) {
      keys.push({ version, key: new Secret(await this.#unwrap(wrapped, tenantId, version)) })
    }
    if (keys.length > 0) this.#open.set(tenantId, keys)
    return keys
  }

  #unwrap(wrapped: Uint8Array, tenantId: string, version: number): Promise<Buffer> {
    const at = wrapped.indexOf(SEPARATOR)
    const name = Buffer.from(wrapped.subarray(0, Math.max(at, 0))).toString('latin1')
    const wrapper = this.#options.wrappers().find((one) => one.name === name)
    if (wrapper === undefined) throw noMasterKey()
    return wrapper.unwrap(wrapped.subarray(at + 1), keyBelonging(tenantId, version))
  }
}

function noMasterKey(): TunnelError {
  return new TunnelError('STORE', 'The master key that wrapped the keys of the tenants is missing.', {
    next: 'restore master.key from a backup, or start with the --key-command of before',
  })
}

/** The version of the key that sealed a cell; 0, which no key has, where it is too short for one. */
export function versionOf(sealed: Uint8Array): number {
  return sealed.length < VERSION_BYTES ? 0 : Buffer.from(sealed).readUInt32BE()
}

function belongingOf({ tenantId, table, column, row }: Cell, version: number): Belonging {
  return ['sallyport cell 1', tenantId, table, column, row, version]
}

function keyBelonging(tenantId: string, version: number): Belonging {
  return ['sallyport tenant key 1', tenantId, version]
}
