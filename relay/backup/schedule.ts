import { Readable } from 'node:stream'
import { readSecret } from '../../shared/cli/secret-input.ts'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import { type Audit, RELAY_CHAIN } from '../audit/record.ts'
import type { BackupPlan, Backups } from './backups.ts'
import { checkPassphrase } from './sealed-file.ts'

/** How often it is looked whether there is a backup of today, in ms. */
const LOOK_MS = 15 * 60_000

export interface ScheduleOptions {
  readonly backups: Backups
  readonly effects: Effects
  readonly audit: Audit
  readonly log: Logger
}

/**
 * Makes a backup each day (UTC), at once where there is none of today, and removes those that are no longer kept. What fails is
 * tried again at the next look.
 * @returns resolves when it has ended, after `signal` aborted
 */
async function keepBackups(options: ScheduleOptions, signal: AbortSignal): Promise<void> {
  const { effects, log } = options
  while (!signal.aborted) {
    await backUpToday(options, signal).catch((err: unknown) => {
      if (signal.aborted) return
      log.error({ err }, 'no backup of today')
      tell(options, 'backup.make', '', 'DISK')
    })
    await effects.sleep(LOOK_MS, signal).catch(() => undefined)
  }
}

/** Makes the backup of today where there is none. @returns true where it made one */
export async function backUpToday(options: ScheduleOptions, signal: AbortSignal): Promise<boolean> {
  const { backups, log } = options
  const made = await backups.makeToday(signal)
  if (made === undefined) return false
  const { name, bytes } = made
  log.info({ name, bytes }, 'backup made')
  tell(options, 'backup.make', name, 'OK')
  for (const removed of await backups.prune()) tell(options, 'backup.remove', removed, 'OK')
  return true
}

function tell(
  { audit, effects }: ScheduleOptions,
  action: 'backup.make' | 'backup.remove',
  object: string,
  outcome: 'OK' | 'DISK',
): void {
  const traceId = effects.randomBytes(16).toString('hex')
  const actor = { kind: 'relay', id: '' } as const
  audit({ tenantId: RELAY_CHAIN, actor, source: 'local', traceId, action, object, outcome })
}

/**
 * What the flags of `relay up` say about backups; undefined where they say nothing.
 * @throws {TunnelError} USAGE where one flag is there without the other, or the passphrase cannot be read
 */
export async function readBackupPlan(flags: {
  readonly backupDir?: string
  readonly backupPassphraseFile?: string
  readonly signal: AbortSignal
}): Promise<Omit<BackupPlan, 'directory'> | undefined> {
  const { backupDir, backupPassphraseFile, signal } = flags
  if (backupDir === undefined && backupPassphraseFile === undefined) return undefined
  if (backupDir === undefined || backupPassphraseFile === undefined || backupPassphraseFile === '-') {
    throw new TunnelError('USAGE', 'Backups take --backup-dir DIR and --backup-passphrase-file FILE.')
  }
  const passphrase = await readSecret(backupPassphraseFile, { stdin: Readable.from([]), signal })
  checkPassphrase(passphrase)
  return { into: backupDir, passphrase }
}

/** Runs {@link keepBackups} until it is disposed of. */
export function scheduleBackups(options: ScheduleOptions): AsyncDisposable {
  const stop = new AbortController()
  const done = keepBackups(options, stop.signal)
  return {
    [Symbol.asyncDispose]: () => {
      stop.abort(new TunnelError('DRAINING'))
      return done
    },
  }
}
