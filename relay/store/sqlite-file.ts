import { constants } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { APPLICATION_ID, migrate, SCHEMA_VERSION } from './schema.ts'

/** How long a statement waits for another process that holds the file, in milliseconds. */
const BUSY_TIMEOUT_MS = 5_000

const NEXT = 'stop the relay, restore relay.db from a backup, start it again'

/**
 * Opens the database file, or makes it where there is none. A file that exists is never replaced: an empty or broken
 * one is refused, because a relay that went on with an empty store would forget every revocation.
 *
 * @throws {TunnelError} STORE where the file is empty, damaged, not ours or of a later version; PERMISSIONS where
 * others can read it
 */
export async function openDatabase(path: string): Promise<DatabaseSync> {
  try {
    if (!(await exists(path))) await createDatabase(path)
    return openExisting(path)
  } catch (err) {
    if (isTunnelError(err)) throw err
    throw new TunnelError('STORE', `${path}: ${(err as Error).message}`, { cause: err, next: NEXT })
  }
}

/**
 * Opens the database file to read only, beside a relay that may be running. Damage is not looked for: what is read says.
 *
 * @throws {TunnelError} as {@link openDatabase} does; NOT_FOUND where there is no file, STORE also where it is of an
 * earlier version
 */
export async function openDatabaseToRead(path: string): Promise<DatabaseSync> {
  try {
    if (!(await exists(path))) throw new TunnelError('NOT_FOUND', `${path} does not exist.`, { leg: 'local' })
    const db = new DatabaseSync(path, { readOnly: true, timeout: BUSY_TIMEOUT_MS })
    try {
      const version = checkVersion(db, path)
      if (version === SCHEMA_VERSION) return db
      throw new TunnelError('STORE', `${path} was written by an earlier version (schema ${version}).`, {
        next: 'start the relay of this version once: it brings the store along',
      })
    } catch (err) {
      db.close()
      throw err
    }
  } catch (err) {
    if (isTunnelError(err)) throw err
    throw new TunnelError('STORE', `${path}: ${(err as Error).message}`, { cause: err, next: NEXT })
  }
}

/** True where there is something at `path`. @throws {TunnelError} PERMISSIONS where others can read it */
async function exists(path: string): Promise<boolean> {
  const stats = await stat(path).catch((err: NodeJS.ErrnoException) => {
    if (err.code === 'ENOENT') return undefined
    throw err
  })
  if (stats === undefined) return false
  if (!stats.isFile() || stats.size === 0) {
    throw new TunnelError('STORE', `${path} exists but is empty or no file.`, { next: NEXT })
  }
  if (process.platform !== 'win32' && (stats.mode & 0o077) !== 0) {
    throw new TunnelError('PERMISSIONS', `${path} is open to others`)
  }
  return true
}

/** Makes the schema under another name first: a crash leaves no half-made file under the real one. */
async function createDatabase(path: string): Promise<void> {
  const temporary = `${path}.new`
  await rm(temporary, { force: true })
  // SQLite gives its -wal and -shm files the mode of the database, so setting it here covers all three.
  await (await open(temporary, 'wx', 0o600)).close()
  const db = new DatabaseSync(temporary)
  try {
    db.exec('PRAGMA synchronous = FULL')
    migrate(db, 0)
  } finally {
    db.close()
  }
  await rename(temporary, path)
  if (process.platform === 'win32') return
  await using directory = await open(dirname(path), constants.O_RDONLY)
  await directory.sync()
}

/** Opens a file that {@link openDatabase} has found whole once more, to change it. @throws {Error} of node:sqlite */
export function openToWrite(path: string): DatabaseSync {
  const db = connect(path)
  try {
    configure(db)
    return db
  } catch (err) {
    db.close()
    throw err
  }
}

function openExisting(path: string): DatabaseSync {
  const db = connect(path)
  try {
    const version = checkFile(db, path)
    configure(db)
    migrate(db, version)
    return db
  } catch (err) {
    db.close()
    throw err
  }
}

function connect(path: string): DatabaseSync {
  return new DatabaseSync(path, { enableForeignKeyConstraints: true, timeout: BUSY_TIMEOUT_MS })
}

function configure(db: DatabaseSync): void {
  db.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA trusted_schema = OFF')
  // What is deleted is overwritten: a tenant that was removed is gone from the file.
  db.exec('PRAGMA secure_delete = ON')
}

/** @returns the version of the schema in the file, which is whole */
function checkFile(db: DatabaseSync, path: string): number {
  const version = checkVersion(db, path)
  const verdict = pragma(db, 'quick_check')
  if (version < 1 || verdict !== 'ok') {
    throw new TunnelError('STORE', `${path} is damaged: ${String(verdict).slice(0, 200)}`, { next: NEXT })
  }
  return version
}

/** @returns the version of the schema in the file, which is ours and of no later version */
function checkVersion(db: DatabaseSync, path: string): number {
  if (pragma(db, 'application_id') !== APPLICATION_ID) {
    throw new TunnelError('STORE', `${path} is not a store of Sallyport.`, { next: NEXT })
  }
  const version = Number(pragma(db, 'user_version'))
  if (version > SCHEMA_VERSION) {
    throw new TunnelError('STORE', `${path} was written by a later version (schema ${version}).`, {
      next: 'start the version of Sallyport that wrote it, or restore relay.db from a backup',
    })
  }
  return version
}

function pragma(db: DatabaseSync, name: string): unknown {
  return Object.values(db.prepare(`PRAGMA ${name}`).get() ?? {})[0]
}
