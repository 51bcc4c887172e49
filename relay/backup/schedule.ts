import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { makePrivateDirectory } from '../../shared/config/private-file.ts'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Secret } from '../../shared/secret.ts'
import { type Audit, RELAY_CHAIN } from '../audit/record.ts'
import { writeBackup } from './backup.ts'
import { expiredDays } from './retention.ts'
import { checkPassphrase } from './sealed-file.ts'

/** How often it is looked whether there is a backup of today, in ms. */
const LOOK_MS = 15 * 60_000

const FILE_NAME = /^sallyport-(\d{4}-\d\d-\d\d)\.backup$/

export interface ScheduleOptions {
  /** Data directory of the relay. */
  readonly directory: string
  /** Where the backups go; private. */
  readonly into: string
  readonly passphrase: Secret<string>
  readonly effects: Effects
  readonly audit: Audit
  readonly log: Logger
}

/**
 * Makes a backup each day (UTC), at once where there is none of today, and removes those that are no longer kept. What fails is
 * tried again at the next look.
 * @returns resolves when it has ended, after `signal` aborted
 */
export async function keepBackups(options: ScheduleOptions, signal: AbortSignal): Promise<void> {
  const { effects, log } = options
  while (!signal.aborted) {
    await backUpToday(options, signal).catch((err: unknown) => {
      if (signal.aborted) return
      log.error({ err }, 'no backup of today')
      tell(options, '', 'DISK')
    })
    await effects.sleep(LOOK_MS, signal).catch(() => undefined)
  }
}

/** Makes the backup of today where there is none. @returns true where it made one */
export async function backUpToday(options: ScheduleOptions, signal: AbortSignal): Promise<boolean> {
  const { directory, into, passphrase, effects, log } = options
  await makePrivateDirectory(into)
  const today = new Date(effects.date()).toISOString().slice(0, 10)
  const days = (await readdir(into)).flatMap((name) => FILE_NAME.exec(name)?.[1] ?? [])
  if (days.includes(today)) return false
  const name = fileOf(today)
  const path = join(into, name)
  const { bytes } = await writeBackup({ directory, path, passphrase, withMasterKey: true, effects, signal })
  log.info({ name, bytes }, 'backup made')
  tell(options, name, 'OK')
  for (const day of expiredDays([...days, today])) await rm(join(into, fileOf(day)), { force: true })
  return true
}

function tell({ audit, effects }: ScheduleOptions, object: string, outcome: 'OK' | 'DISK'): void {
  const traceId = effects.randomBytes(16).toString('hex')
  const actor = { kind: 'relay', id: '' } as const
  audit({ tenantId: RELAY_CHAIN, actor, source: 'local', traceId, action: 'backup.make', object, outcome })
}

function fileOf(day: string): string {
  return `sallyport-${day}.backup`
}

/**
 * What the flags of `relay up` say about backups; undefined where they say nothing.
 * @throws {TunnelError} USAGE where one flag is there without the other, or the passphrase cannot be read
 */
export async function readBackupPlan(flags: {
  readonly data: string
  readonly backupDir?: string
  readonly backupPassphraseFile?: string
  readonly signal: AbortSignal
}): Promise<Pick<ScheduleOptions, 'directory' | 'into' | 'passphrase'> | undefined> {
  const { data, backupDir, backupPassphraseFile, signal } = flags
  if (backupDir === undefined && backupPassphraseFile === undefined) return undefined
  if (backupDir === undefined || backupPassphraseFile === undefined || backupPassphraseFile === '-') {
    throw new TunnelError('USAGE', 'Backups take --backup-dir DIR and --backup-passphrase-file FILE.')
  }
  const passphrase = await readSecret(backupPassphraseFile, { stdin: Readable.from([]), signal })
  checkPassphrase(passphrase)
  return { directory: data, into: backupDir, passphrase }
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
