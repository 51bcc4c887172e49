import { constants } from 'node:fs'
import { chmod, copyFile, lutimes, mkdir, readdir, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'

/** A file of a package. Exactly one of `from`, `content` and `link` says what is in it. */
export interface TreeFile {
  /** Below the package's root, with `/`, not starting with it. */
  readonly path: string
  /** 0o644 unless it says otherwise. */
  readonly mode?: number
  /** A file whose bytes it has. */
  readonly from?: string
  readonly content?: string | Uint8Array
  /** What a symbolic link points at. */
  readonly link?: string
}

/**
 * Lays the files below `directory`, which is made anew. Every time in it is `epoch`, so that the same files make the same
 * package.
 * @param epoch seconds since 1970
 */
export async function writeTree(directory: string, files: readonly TreeFile[], epoch: number): Promise<void> {
  await rm(directory, { recursive: true, force: true })
  await mkdir(directory, { recursive: true })
  for (const file of files) {
    const path = join(directory, file.path)
    await mkdir(dirname(path), { recursive: true })
    await writeFileOf(file, path)
    if (file.link === undefined) await chmod(path, file.mode ?? 0o644)
    await lutimes(path, epoch, epoch)
  }
  for (const entry of await readdir(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isDirectory()) await utimes(join(entry.parentPath, entry.name), epoch, epoch)
  }
  await utimes(directory, epoch, epoch)
}

async function writeFileOf({ from, content, link: target }: TreeFile, path: string): Promise<void> {
  if (from !== undefined) await copyFile(from, path, constants.COPYFILE_FICLONE)
  else if (target !== undefined) await symlink(target, path)
  else await writeFile(path, content ?? '')
}
