import { unlink } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { readRulesFile, writeRulesFile } from './file.ts'

/**
 * The text of the rules that were last in force, for a start at which the rules file does not parse. It is always what stood in
 * the rules file itself, is written after each good reading, and goes when the rules file goes: rules that somebody took away
 * must not come back because of a slip of the pen later on.
 */
export interface LastGood {
  /** The text, or undefined where there was never a good one. @throws {TunnelError} PERMISSIONS, POLICY as of the rules file */
  read(): Promise<string | undefined>
  /**
   * Keeps `text`, or forgets with undefined. Where it cannot be kept, an older one is forgotten: nothing is better than
   * rules that no longer hold.
   * @throws {TunnelError} DISK, PERMISSIONS
   */
  keep(text: string | undefined): Promise<void>
}

/** Where the copy of the rules file at `path` lies: beside it, in the private directory. */
export function lastGoodPath(path: string): string {
  return join(dirname(path), 'rules.last-good.toml')
}

/** The copy on the disk: mode 0600, a plain file of the directory's owner or of root, replaced whole. */
export function lastGoodFile(path: string): LastGood {
  const copy = lastGoodPath(path)
  const read = () =>
    readRulesFile(copy).catch((err: unknown) => {
      if (isTunnelError(err) && err.code === 'NOT_FOUND') return undefined
      throw err
    })
  return {
    read,
    async keep(text) {
      if (text === undefined) return forget(copy)
      // One that cannot be read is written anew.
      if ((await read().catch(() => undefined)) === text) return
      try {
        await writeRulesFile(copy, text)
      } catch (err) {
        await forget(copy).catch(() => undefined)
        throw err
      }
    },
  }
}

async function forget(copy: string): Promise<void> {
  await unlink(copy).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw new TunnelError('PERMISSIONS', `${copy} stays.`, { cause })
  })
}
