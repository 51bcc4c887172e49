import { constants } from 'node:fs'
import { type FileHandle, mkdtemp, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { backup } from 'node:sqlite'
import { syncDirectory } from '../../shared/config/private-file.ts'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import { openDatabaseToRead } from '../store/sqlite-file.ts'
import { SealedWriter } from './sealed-file.ts'

/** Bytes of a file that are read at a time. */
const READ_BYTES = 65_536

/** All pages in one step: a copy that is made in several begins anew whenever the relay writes in between. */
const ALL_PAGES = 2 ** 30

/** How often the copy is made anew where the master key was changed meanwhile. */
const TRIES = 3

export interface BackupOptions {
  /** Data directory of the relay. */
  readonly directory: string
  /** The file to be made; there is none yet. */
  readonly path: string
  readonly passphrase: Secret<string>
  /** False leaves `master.key` out: the secrets of the store open with the one that is kept elsewhere. */
  readonly withMasterKey: boolean
  readonly effects: Pick<Effects, 'randomBytes'>
  /** What a guess of the passphrase costs, where it is not GUESS_COST: for tests. */
  readonly cost?: number
  readonly signal: AbortSignal
}

export interface BackupResult {
  readonly files: number
  /** Of the backup. */
  readonly bytes: number
}

/**
 * Writes the store as it is at one moment, the CA, the relay's certificates and the master key into one sealed file, mode 0600,
 * beside a relay that may be running. The file is there when it is whole.
 * @throws {TunnelError} CONFLICT where there is such a file, NOT_FOUND where no relay has its data there, STORE, USAGE, CONFIG
 */
export async function writeBackup(options: BackupOptions): Promise<BackupResult> {
  const { directory, path, passphrase, effects, cost } = options
  if (await exists(path)) throw new TunnelError('CONFLICT', `There is a file ${path}.`)
  if (!(await exists(join(directory, 'relay.db')))) {
    throw new TunnelError('NOT_FOUND', `${directory} is no data directory of a relay.`, {
      leg: 'local',
      next: 'name it: --data DIR',
    })
  }
  const copies = await mkdtemp(join(directory, '.backup-'))
  const part = `${path}.part`
  try {
    const files = await collect(options, copies)
    await rm(part, { force: true })
    const file = await open(part, 'wx', 0o600).catch((cause: unknown) => {
      throw new TunnelError('CONFIG', `${path} cannot be written.`, { cause })
    })
    try {
      const writer = await SealedWriter.begin(file, passphrase, effects.randomBytes(16), cost)
      for (const [name, source] of files) await writeEntry(writer, name, source, options.signal)
      await writer.write(Buffer.alloc(2))
      await writer.end()
    } finally {
      await file.close()
    }
    await rename(part, path)
    await syncDirectory(dirname(path))
    return { files: files.size, bytes: (await stat(path)).size }
  } catch (err) {
    await rm(part, { force: true })
    throw err
  } finally {
    await rm(copies, { recursive: true, force: true })
  }
}

/** The files of a backup by their names in it. The keys of the store and the master key fit each other. */
async function collect(
  { directory, withMasterKey, signal }: BackupOptions,
  copies: string,
): Promise<ReadonlyMap<string, string>> {
  const copy = join(copies, 'relay.db')
  const masterPath = join(directory, 'master.key')
  for (let tries = 0; ; tries++) {
    signal.throwIfAborted()
    const before = await readOptional(masterPath)
    await rm(copy, { force: true })
    // SQLite opens what is there, with the mode that it has.
    await (await open(copy, 'wx', 0o600)).close()
    const db = await openDatabaseToRead(join(directory, 'relay.db'))
    try {
      await backup(db, copy, { rate: ALL_PAGES })
    } finally {
      db.close()
    }
    const after = await readOptional(masterPath)
    if (before === after || tries === TRIES) break
  }
  const files = new Map([['relay.db', copy]])
  for (const folder of ['ca', 'tls']) {
    const found = await readdir(join(directory, folder), { withFileTypes: true })
    for (const entry of found) {
      if (entry.isFile() && !entry.name.startsWith('.')) {
        files.set(`${folder}/${entry.name}`, join(directory, folder, entry.name))
      }
    }
  }
  if (withMasterKey && (await exists(masterPath))) files.set('master.key', masterPath)
  return files
}

/** The length of the name in 2 bytes, the name, the size in 8 bytes, the bytes. */
async function writeEntry(
  writer: SealedWriter,
  name: string,
  source: string,
  signal: AbortSignal,
): Promise<void> {
  await using file: FileHandle = await open(source, constants.O_RDONLY)
  const { size } = await file.stat()
  const head = Buffer.alloc(2 + Buffer.byteLength(name) + 8)
  head.writeUInt16BE(Buffer.byteLength(name))
  head.write(name, 2)
  head.writeBigUInt64BE(BigInt(size), head.length - 8)
  await writer.write(head)
  const block = Buffer.alloc(READ_BYTES)
  let left = size
  while (left > 0) {
    signal.throwIfAborted()
    const { bytesRead } = await file.read(block, 0, Math.min(block.length, left), null)
    if (bytesRead === 0) throw new TunnelError('CONFIG', `${source} became shorter while it was read.`)
    await writer.write(block.subarray(0, bytesRead))
    left -= bytesRead
  }
}

async function readOptional(path: string): Promise<string | undefined> {
  return (await exists(path)) ? readFile(path, 'utf8') : undefined
}

/** True where there is something at `path`. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (err: NodeJS.ErrnoException) => {
      if (err.code === 'ENOENT') return false
      throw err
    },
  )
}
