import type { Effects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { commandWrapper } from './key-command.ts'
import { type KeyWrapper, MasterKeyFile } from './master-key.ts'

export interface MasterKeysOptions {
  /** Data directory of the relay. */
  readonly directory: string
  readonly effects: Pick<Effects, 'randomBytes'>
  /** A program that wraps in the place of the file; see key-command.ts. */
  readonly keyCommand?: string | undefined
  /** No key of a tenant was wrapped yet, so a missing file is a first run and no loss. */
  readonly isFirstRun: boolean
}

/** What wraps the keys of the tenants. */
export interface MasterKeys {
  /** The one in use first. */
  wrappers(): readonly KeyWrapper[]
  /** Puts a new master key in use, has `rewrap` wrap every key with it, and forgets the old one. */
  rotate(rewrap: () => Promise<void>): Promise<void>
}

/**
 * Opens the master key: a program of the operator's, or else `master.key`, which the first run makes.
 * @throws {TunnelError} STORE where the file is missing or damaged, PERMISSIONS where others can read it
 */
export async function openMasterKeys(options: MasterKeysOptions): Promise<MasterKeys> {
  const { directory, effects, keyCommand, isFirstRun } = options
  const known = await MasterKeyFile.read(directory, effects)
  if (keyCommand !== undefined) {
    // What the file wrapped before still opens; a rotation wraps it with the program.
    const wrappers = [commandWrapper(keyCommand), ...(known?.wrappers() ?? [])]
    return { wrappers: () => wrappers, rotate: (rewrap) => rewrap() }
  }
  if (known === undefined && !isFirstRun) {
    throw new TunnelError('STORE', `master.key is missing from ${directory}.`, {
      next: 'restore it from a backup, or start with the --key-command of before',
    })
  }
  const file = known ?? (await MasterKeyFile.create(directory, effects))
  return {
    wrappers: () => file.wrappers(),
    rotate: async (rewrap) => {
      await file.addKey()
      await rewrap()
      await file.dropOldKeys()
    },
  }
}
