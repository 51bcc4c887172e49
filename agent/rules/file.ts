import { constants, type Stats } from 'node:fs'
import { type FileHandle, open, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { realFileSteps, writePrivateFile } from '../../shared/config/private-file.ts'
import { TunnelError } from '../../shared/errors.ts'
import { RULES_MAX_BYTES } from './parse.ts'

const WRITABLE_BY_OTHERS = 0o022
// Windows has none of these flags; its access lists are the installer's business.
const FLAGS = constants.O_RDONLY | (constants.O_NOFOLLOW ?? 0) | (constants.O_NONBLOCK ?? 0)

/**
 * Reads a rules file, which decides what the cloud may reach: whoever can write it owns the site. So it must be a
 * plain file, no link, writable by nobody but its owner, and owned by root or by the owner of its directory. It may be
 * readable by all: there is no secret in it, and an auditor should see it.
 *
 * @throws {TunnelError} NOT_FOUND where there is none; PERMISSIONS; POLICY where it is larger than 1 MiB
 */
export async function readRulesFile(path: string): Promise<string> {
  try {
    await using file = await open(path, FLAGS)
    const stats = await file.stat()
    checkFile(path, stats, await stat(dirname(path)))
    return await readAtMost(file, path)
  } catch (err) {
    throw readFailure(path, err)
  }
}

/**
 * Replaces a rules file so that a crash leaves the old text or the new, whole; mode 0600.
 * @throws {TunnelError} PERMISSIONS where this user may not write there
 */
export async function writeRulesFile(path: string, text: string): Promise<void> {
  // Root edits the file of a service that runs as somebody else: what it leaves must be readable for that user.
  const owner = await stat(dirname(path)).catch((err: unknown) => {
    throw readFailure(dirname(path), err)
  })
  const create = async (temporary: string) => {
    const file = await realFileSteps.create(temporary)
    const mine = await file.stat()
    if (mine.uid !== owner.uid) await file.chown(owner.uid, owner.gid)
    return file
  }
  try {
    await writePrivateFile(path, text, { ...realFileSteps, create })
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    if (code !== 'EACCES' && code !== 'EPERM') throw err
    throw new TunnelError('PERMISSIONS', `${path} cannot be written by this user`, { cause: err })
  }
}

function checkFile(path: string, stats: Stats, directory: Stats): void {
  if (!stats.isFile()) throw new TunnelError('PERMISSIONS', `${path} is not a plain file`)
  if (process.platform === 'win32') return
  if ((stats.mode & WRITABLE_BY_OTHERS) !== 0) {
    throw new TunnelError('PERMISSIONS', `${path} can be written by others than its owner`, {
      next: `chmod go-w ${path}`,
    })
  }
  if (stats.uid !== 0 && stats.uid !== directory.uid) {
    throw new TunnelError('PERMISSIONS', `${path} belongs neither to root nor to the owner of its directory`)
  }
}

/** Reads no more than the limit even when the file grows meanwhile. */
async function readAtMost(file: FileHandle, path: string): Promise<string> {
  const block = Buffer.alloc(Math.min((await file.stat()).size, RULES_MAX_BYTES) + 1)
  let length = 0
  while (length < block.length) {
    const { bytesRead } = await file.read(block, length, block.length - length, null)
    if (bytesRead === 0) return block.toString('utf8', 0, length)
    length += bytesRead
  }
  throw new TunnelError('POLICY', `${path}: larger than 1 MiB, or it grew while it was read`)
}

function readFailure(path: string, err: unknown): unknown {
  const { code } = err as NodeJS.ErrnoException
  if (code === 'ENOENT') {
    return new TunnelError('NOT_FOUND', `${path} does not exist`, {
      leg: 'local',
      next: 'sallyport agent allow NAME HOST:PORT',
      cause: err,
    })
  }
  if (code === 'ELOOP') return new TunnelError('PERMISSIONS', `${path} is a link`, { cause: err })
  if (code === 'EACCES' || code === 'EPERM') {
    return new TunnelError('PERMISSIONS', `${path} cannot be read by this user`, { cause: err })
  }
  return err
}
