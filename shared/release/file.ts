import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { basename } from 'node:path'
import { openPlainFile } from '../config/plain-file.ts'
import { TunnelError } from '../errors.ts'
import type { Release, ReleasedFile } from './manifest.ts'

/** Bytes read at once. */
const BLOCK_BYTES = 1024 * 1024

/** What a file holds. */
interface Content {
  /** In bytes. */
  readonly size: number
  /** 64 hexadecimal digits. */
  readonly sha256: string
}

/**
 * Finds the file at `path` in the release and compares it: by its name, or where the release has no such name, by its
 * content, since an installed file often bears another name.
 * @returns what the release says of the file
 * @throws {TunnelError} RELEASE_FILE where it is cut off, too long, changed or not part of the release
 */
export async function checkFile(path: string, release: Release, signal: AbortSignal): Promise<ReleasedFile> {
  const named = release.files.find(({ name }) => name === basename(path))
  await using file = await openPlainFile(path, 'RELEASE_FILE')
  const { size } = await file.stat()
  if (named !== undefined && size !== named.size) {
    const what = size < named.size ? 'cut off' : 'too long'
    throw new TunnelError('RELEASE_FILE', `${path} is ${what}: ${size} bytes instead of ${named.size}.`)
  }
  const longest = Math.max(...release.files.map((released) => released.size))
  const content = size > longest ? undefined : await digest(file, longest, signal)
  const isSame = (released: ReleasedFile) =>
    released.sha256 === content?.sha256 && released.size === content.size
  if (named !== undefined && !isSame(named)) throw new TunnelError('RELEASE_FILE', `${path} was changed.`)
  const found = named ?? release.files.find(isSame)
  if (found === undefined) {
    throw new TunnelError('RELEASE_FILE', `${path} is no file of release ${release.version}.`)
  }
  return found
}

/** Of what was opened, so that nobody can exchange it in between; at most `maxBytes` of it. */
async function digest(file: FileHandle, maxBytes: number, signal: AbortSignal): Promise<Content | undefined> {
  const hash = createHash('sha256')
  const block = Buffer.allocUnsafe(BLOCK_BYTES)
  let size = 0
  for (;;) {
    signal.throwIfAborted()
    const { bytesRead } = await file.read(block, 0, BLOCK_BYTES, size)
    if (bytesRead === 0) return { size, sha256: hash.digest('hex') }
    size += bytesRead
    if (size > maxBytes) return undefined
    hash.update(block.subarray(0, bytesRead))
  }
}
