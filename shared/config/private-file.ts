import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { chmod, type FileHandle, mkdir, open, rename, stat, unlink } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { TunnelError } from '../errors.ts'

/** Largest private file that is read unless the caller names another limit: 64 KiB. */
const PRIVATE_FILE_MAX_BYTES = 65_536

const PRIVATE_FILE_MODE = 0o600
const PRIVATE_DIRECTORY_MODE = 0o700
const OTHERS = 0o077

/** What a disk says that is full, fails or may not be written. */
const DISK_FAULTS: ReadonlySet<unknown> = new Set(['ENOSPC', 'EDQUOT', 'EIO', 'EROFS', 'EFBIG'])

/** The steps of a safe replacement, one by one, so that a test can let each of them fail. */
export interface FileSteps {
  /** Opens a new file of mode 0600 that did not exist. */
  create(path: string): Promise<FileHandle>
  write(file: FileHandle, data: string | Uint8Array): Promise<void>
  sync(file: FileHandle): Promise<void>
  rename(from: string, to: string): Promise<void>
  /** Makes the new name itself durable. */
  syncDirectory(path: string): Promise<void>
}

export const realFileSteps: FileSteps = {
  create: (path) => open(path, 'wx', PRIVATE_FILE_MODE),
  write: (file, data) => file.writeFile(data),
  sync: (file) => file.sync(),
  rename: (from, to) => rename(from, to),
  syncDirectory,
}

/** Makes new names in a directory durable. */
export async function syncDirectory(path: string): Promise<void> {
  // Windows cannot open a directory for this; NTFS journals the rename itself.
  if (process.platform === 'win32') return
  await using directory = await open(path, constants.O_RDONLY)
  await directory.sync()
}

/**
 * Replaces `path` by `data` with mode 0600 so that a crash at any instant leaves the old content or the new, whole.
 * The new content is on the disk when this resolves. A rejection leaves the old content, except where only the
 * last step (the sync of the directory) failed: then it is one of the two.
 *
 * @param path a file in a private directory (see {@link makePrivateDirectory})
 * @param data is not kept
 * @throws {TunnelError} DISK where it is full or fails; else the error of the file system
 */
export async function writePrivateFile(
  path: string,
  data: string | Uint8Array,
  steps: FileSteps = realFileSteps,
): Promise<void> {
  const directory = dirname(path)
  const temporary = join(directory, `.${basename(path)}.${randomBytes(6).toString('hex')}.tmp`)
  const file = await steps.create(temporary).catch((err: unknown) => {
    throw writeFailure(path, err)
  })
  try {
    try {
      await steps.write(file, data)
      await steps.sync(file)
    } finally {
      await file.close()
    }
    await steps.rename(temporary, path)
  } catch (err) {
    // The file may hold a key: it must not stay behind. That it cannot be removed is no news beside `err`.
    await unlink(temporary).catch(() => undefined)
    throw writeFailure(path, err)
  }
  await steps.syncDirectory(directory)
}

/**
 * Makes a directory of mode 0700 where there is none, and checks one that exists.
 *
 * @throws {TunnelError} PERMISSIONS where it is open to others or belongs to somebody else
 */
export async function makePrivateDirectory(path: string): Promise<void> {
  const made = await mkdir(path, { recursive: true, mode: PRIVATE_DIRECTORY_MODE })
  // The umask may have taken bits away from the mode of mkdir, never added any; this gives the owner all of them.
  if (made !== undefined && process.platform !== 'win32') await chmod(path, PRIVATE_DIRECTORY_MODE)
  await checkPrivateDirectory(path)
}

/**
 * Checks that only its owner, who is this process's user, can enter a directory. On Windows the access list decides,
 * which the installer sets; there is nothing to see in the mode.
 *
 * @throws {TunnelError} PERMISSIONS where it is open to others, belongs to somebody else or is no directory;
 * NOT_FOUND where there is nothing
 */
export async function checkPrivateDirectory(path: string): Promise<void> {
  const stats = await stat(path).catch((err: NodeJS.ErrnoException) => {
    throw readFailure(path, err)
  })
  if (!stats.isDirectory()) throw new TunnelError('PERMISSIONS', `${path} is not a directory`)
  checkOwner(path, stats)
}

export interface ReadOptions {
  /** Largest size in bytes that is accepted. */
  readonly maxBytes?: number
  /** False refuses a link in the file's place; true by default, because secrets in containers are links. */
  readonly followLinks?: boolean
}

/**
 * Reads a private file as UTF-8 text. The checks look at the file that was opened, so it cannot be exchanged between
 * the check and the reading.
 *
 * @throws {TunnelError} PERMISSIONS where it is open to others, belongs to somebody else, is no plain file or is
 * larger than the limit; NOT_FOUND where there is none
 */
export async function readPrivateFile(path: string, options: ReadOptions = {}): Promise<string> {
  const maxBytes = options.maxBytes ?? PRIVATE_FILE_MAX_BYTES
  // O_NONBLOCK: opening a named pipe must not wait for a writer. Windows has no such flag, nor such pipes.
  const plain = options.followLinks === false ? (constants.O_NOFOLLOW ?? 0) : 0
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0) | plain
  try {
    await using file = await open(path, flags)
    const stats = await file.stat()
    if (!stats.isFile()) throw new TunnelError('PERMISSIONS', `${path} is not a plain file`)
    checkOwner(path, stats)
    if (stats.size > maxBytes) throw tooLarge(path, maxBytes)
    return await readAtMost(file, path, maxBytes)
  } catch (err) {
    throw readFailure(path, err)
  }
}

/** Reads no more than the limit even when the file grows meanwhile. */
async function readAtMost(file: FileHandle, path: string, maxBytes: number): Promise<string> {
  const block = Buffer.alloc(maxBytes + 1)
  let length = 0
  while (length < block.length) {
    const { bytesRead } = await file.read(block, length, block.length - length, null)
    if (bytesRead === 0) return block.toString('utf8', 0, length)
    length += bytesRead
  }
  throw tooLarge(path, maxBytes)
}

function tooLarge(path: string, maxBytes: number): TunnelError {
  return new TunnelError('PERMISSIONS', `${path} is larger than ${maxBytes} bytes`)
}

function checkOwner(path: string, stats: Stats): void {
  // Windows has neither; getuid is missing there.
  if (process.platform === 'win32' || process.getuid === undefined) return
  if (stats.uid !== process.getuid()) {
    throw new TunnelError(
      'PERMISSIONS',
      `${path} belongs to user ${stats.uid}, not to user ${process.getuid()}`,
    )
  }
  if ((stats.mode & OTHERS) !== 0) {
    const mode = (stats.mode & 0o777).toString(8).padStart(4, '0')
    throw new TunnelError('PERMISSIONS', `${path} has mode ${mode}`)
  }
}

function writeFailure(path: string, err: unknown): unknown {
  const { code } = err as NodeJS.ErrnoException
  return DISK_FAULTS.has(code) ? new TunnelError('DISK', `${path}: ${code}`, { cause: err }) : err
}

function readFailure(path: string, err: unknown): unknown {
  const code = (err as NodeJS.ErrnoException).code
  if (code === 'ENOENT')
    return new TunnelError('NOT_FOUND', `${path} does not exist`, { leg: 'local', cause: err })
  if (code === 'ELOOP') return new TunnelError('PERMISSIONS', `${path} is a link`, { cause: err })
  if (code === 'EACCES' || code === 'EPERM') {
    return new TunnelError('PERMISSIONS', `${path} cannot be read`, { cause: err })
  }
  return err
}
