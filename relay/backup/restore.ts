import { type FileHandle, mkdir, open, readdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import { readPrivateFile, syncDirectory, writePrivateFile } from '../../shared/config/private-file.ts'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import { openAuthority } from '../authority/authority.ts'
import { exists } from './backup.ts'
import { damaged, readSealed } from './sealed-file.ts'

/** Files in a backup at most. */
const FILES_MAX = 20_000

/** Largest file beside the store, in bytes. */
const SMALL_MAX_BYTES = 65_536

/** Everything that a backup may hold; no name leads out of the directory. */
const NAME = /^(relay\.db|master\.key|(ca|tls)\/[A-Za-z0-9][A-Za-z0-9._-]{0,199})$/

export interface RestoreOptions {
  readonly path: string
  /** The data directory to be made: it does not exist, or is empty. */
  readonly directory: string
  readonly passphrase: Secret<string>
  readonly keyCommand?: string | undefined
  /** The `master.key` that was kept elsewhere, for a backup that has none. */
  readonly masterKey?: string | undefined
  readonly effects: Effects
  /** As the backup was made with: for tests. */
  readonly cost?: number
  readonly signal: AbortSignal
}

export interface RestoreResult {
  readonly files: number
}

/**
 * Makes a data directory from a backup. Everything is read and checked in a directory beside it, which then gets the name: all of it is
 * there, or nothing.
 * @throws {TunnelError} CONFLICT where something is in the directory; BACKUP where the file is not what was written; STORE where what
 * it holds is no relay's data
 */
export async function restoreBackup(options: RestoreOptions): Promise<RestoreResult> {
  const { path, effects } = options
  const directory = resolve(options.directory)
  await checkFree(directory)
  const file = await open(path, 'r').catch((cause: unknown) => {
    throw new TunnelError('USAGE', `${path} cannot be read.`, { cause })
  })
  const staging = join(dirname(directory), `.restore-${effects.randomBytes(6).toString('hex')}`)
  try {
    await mkdir(dirname(directory), { recursive: true })
    await mkdir(staging, { mode: 0o700 })
    const files = await unpack(file, staging, options)
    if (options.masterKey !== undefined) {
      await writePrivateFile(join(staging, 'master.key'), await readPrivateFile(options.masterKey))
    }
    await checkData(staging, options)
    await checkFree(directory)
    if (await exists(directory)) await rmdir(directory)
    await rename(staging, directory)
    await syncDirectory(dirname(directory))
    return { files }
  } finally {
    await file.close()
    await rm(staging, { recursive: true, force: true })
  }
}

/** @throws {TunnelError} CONFLICT */
async function checkFree(directory: string): Promise<void> {
  const names = await readdir(directory).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return []
    throw new TunnelError('CONFLICT', `${directory} is no directory.`, { cause: err })
  })
  if (names.length === 0) return
  throw new TunnelError('CONFLICT', `There is something in ${directory}.`, {
    next: 'name a directory that does not exist: --data NEWDIR',
  })
}

/** @returns how many files */
async function unpack(
  file: FileHandle,
  staging: string,
  { passphrase, cost, signal }: RestoreOptions,
): Promise<number> {
  const archiveBytes = (await file.stat()).size
  const input = new Input(readSealed(file, passphrase, cost))
  const names = new Set<string>()
  for (;;) {
    signal.throwIfAborted()
    const nameLength = (await input.take(2)).readUInt16BE()
    if (nameLength === 0) break
    const name = (await input.take(Math.min(nameLength, 256))).toString('latin1')
    if (nameLength > 256 || !NAME.test(name)) throw damaged('It holds a file that no backup has.')
    if (names.has(name)) throw damaged(`It holds ${name} twice.`)
    if (names.add(name).size > FILES_MAX) throw damaged('It holds too many files.')
    const size = Number((await input.take(8)).readBigUInt64BE())
    if (size > (name === 'relay.db' ? archiveBytes : SMALL_MAX_BYTES)) throw damaged(`${name} is too large.`)
    await writeOne(join(staging, name), input, size)
  }
  await input.expectEnd()
  return names.size
}

async function writeOne(path: string, input: Input, size: number): Promise<void> {
  await mkdir(dirname(path), { recursive: true, mode: 0o700 })
  const file = await open(path, 'wx', 0o600)
  try {
    for (let left = size; left > 0; ) {
      const part = await input.some(left)
      await file.appendFile(part)
      left -= part.length
    }
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Opens what was unpacked as the relay will: the store is whole, the CA is there, the master key opens the keys of the tenants. */
async function checkData(directory: string, { effects, keyCommand }: RestoreOptions): Promise<void> {
  for (const name of ['relay.db', 'ca', 'tls']) {
    if (!(await exists(join(directory, name)))) throw damaged(`${name} is not in it.`)
  }
  const { store } = await openAuthority({ directory, effects, keyCommand })
  await store[Symbol.asyncDispose]()
}

/** Bytes by number, from chunks; never more than one chunk is held. */
class Input {
  readonly #chunks: AsyncIterator<Buffer>
  #chunk: Buffer = Buffer.alloc(0)

  constructor(chunks: AsyncIterable<Buffer>) {
    this.#chunks = chunks[Symbol.asyncIterator]()
  }

  /** Exactly `length` bytes, 1 to 256. */
  async take(length: number): Promise<Buffer> {
    const parts: Buffer[] = []
    for (let left = length; left > 0; ) {
      const part = await this.some(left)
      parts.push(part)
      left -= part.length
    }
    return Buffer.concat(parts)
  }

  /** 1 to `most` bytes. */
  async some(most: number): Promise<Buffer> {
    if (!(await this.#fill())) throw damaged('It ends too early.')
    const part = this.#chunk.subarray(0, most)
    this.#chunk = this.#chunk.subarray(part.length)
    return part
  }

  async expectEnd(): Promise<void> {
    if (await this.#fill()) throw damaged('Something follows its last file.')
  }

  async #fill(): Promise<boolean> {
    while (this.#chunk.length === 0) {
      const next = await this.#chunks.next()
      if (next.done === true) return false
      this.#chunk = next.value
    }
    return true
  }
}
