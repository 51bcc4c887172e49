import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { readPrivateFile, writePrivateFile } from '../../../shared/config/private-file.ts'
import type { Effects } from '../../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../../shared/errors.ts'
import { Secret } from '../../../shared/secret.ts'
import { type Belonging, KEY_BYTES, seal, unseal } from './envelope.ts'

/**
 * Wraps the keys of tenants, so that the store alone opens nothing. A wrapped key says which wrapper it needs; wrappers
 * open only their own.
 */
export interface KeyWrapper {
  /** Stands before each key that it wrapped: 16 bytes at most of a-z, 0-9 and hyphen. */
  readonly name: string
  wrap(key: Uint8Array, belonging: Belonging): Promise<Uint8Array>
  /** @throws {TunnelError} STORE */
  unwrap(wrapped: Uint8Array, belonging: Belonging): Promise<Buffer>
}

const FILE_NAME = 'master.key'
const LINE = /^sallyport-master-key-1 ([0-9a-f]{8}) ([A-Za-z0-9+/]{43}=)$/

/** The master keys of a relay in `master.key`, mode 0600, in its data directory: the one in use first. */
export class MasterKeyFile {
  readonly #directory: string
  readonly #effects: Pick<Effects, 'randomBytes'>
  #keys: readonly Secret<Buffer>[]

  private constructor(
    directory: string,
    effects: Pick<Effects, 'randomBytes'>,
    keys: readonly Secret<Buffer>[],
  ) {
    this.#directory = directory
    this.#effects = effects
    this.#keys = keys
  }

  /**
   * Reads the file. @returns undefined where there is none
   * @throws {TunnelError} STORE where it is damaged, PERMISSIONS where others can read it
   */
  static async read(
    directory: string,
    effects: Pick<Effects, 'randomBytes'>,
  ): Promise<MasterKeyFile | undefined> {
    const path = join(directory, FILE_NAME)
    const text = await readPrivateFile(path).catch((err: unknown) => {
      if (isTunnelError(err) && err.code === 'NOT_FOUND') return undefined
      throw err
    })
    if (text === undefined) return undefined
    const keys = text.trimEnd().split('\n').map(parseLine)
    if (keys.includes(undefined)) {
      throw new TunnelError('STORE', `${path} is damaged.`, { next: `restore ${path} from a backup` })
    }
    return new MasterKeyFile(
      directory,
      effects,
      keys.filter((key) => key !== undefined),
    )
  }

  /** Makes the file with a new key. */
  static async create(directory: string, effects: Pick<Effects, 'randomBytes'>): Promise<MasterKeyFile> {
    const file = new MasterKeyFile(directory, effects, [])
    await file.addKey()
    return file
  }

  /** Puts a new key in use. The others stay until {@link dropOldKeys}: what they wrapped still opens. */
  async addKey(): Promise<void> {
    await this.#write([new Secret(this.#effects.randomBytes(KEY_BYTES)), ...this.#keys])
  }

  /** Forgets every key but the one in use. Only when nothing is wrapped by them any more. */
  async dropOldKeys(): Promise<void> {
    await this.#write(this.#keys.slice(0, 1))
  }

  /** The key in use first. */
  wrappers(): readonly KeyWrapper[] {
    return this.#keys.map((key) => wrapperOf(key, this.#effects))
  }

  async #write(keys: readonly Secret<Buffer>[]): Promise<void> {
    const lines = keys.map((key) => {
      const bytes = key.reveal()
      return `sallyport-master-key-1 ${idOf(bytes)} ${bytes.toString('base64')}\n`
    })
    await writePrivateFile(join(this.#directory, FILE_NAME), lines.join(''))
    this.#keys = keys
  }
}

function parseLine(line: string): Secret<Buffer> | undefined {
  const [, id, text = ''] = LINE.exec(line) ?? []
  const bytes = Buffer.from(text, 'base64')
  return bytes.length === KEY_BYTES && idOf(bytes) === id ? new Secret(bytes) : undefined
}

/** Tells keys apart, and a mistyped one from a right one; says nothing of the key. */
function idOf(key: Uint8Array): string {
  return createHash('sha256').update('sallyport master key id').update(key).digest('hex').slice(0, 8)
}

function wrapperOf(key: Secret<Buffer>, effects: Pick<Effects, 'randomBytes'>): KeyWrapper {
  return {
    name: `file-${idOf(key.reveal())}`,
    wrap: async (inner, belonging) => seal(key.reveal(), belonging, inner, effects),
    unwrap: async (wrapped, belonging) => unseal(key.reveal(), belonging, wrapped),
  }
}
