import { createReadStream } from 'node:fs'
import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { makePrivateDirectory } from '../../shared/config/private-file.ts'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Secret } from '../../shared/secret.ts'
import { writeBackup } from './backup.ts'
import { expiredDays } from './retention.ts'

/** The one of a day, and those that somebody asked for at a time of it. */
const FILE_NAME = /^sallyport-(\d{4}-\d\d-\d\d)(-\d{6})?\.backup$/

/** Backups of one day at most, so that asking for them fills no disk. */
const DAY_MAX = 24

/** Where backups go and what seals them. */
export interface BackupPlan {
  /** Data directory of the relay. */
  readonly directory: string
  /** Where the backups go; private. */
  readonly into: string
  readonly passphrase: Secret<string>
}

/** A backup that is there. */
export interface KeptBackup {
  readonly name: string
  /** Such as 2026-11-22. */
  readonly day: string
  readonly bytes: number
  /** Ms since 1970. */
  readonly madeAt: number
}

/** The backups of a relay in a directory: one is made or removed at a time. */
export class Backups {
  readonly #plan: BackupPlan
  readonly #effects: Pick<Effects, 'date' | 'randomBytes'>
  #busy: Promise<unknown> = Promise.resolve()

  constructor(plan: BackupPlan, effects: Pick<Effects, 'date' | 'randomBytes'>) {
    this.#plan = plan
    this.#effects = effects
  }

  /** By name, which is by time. @throws {TunnelError} PERMISSIONS, DISK */
  async list(): Promise<readonly KeptBackup[]> {
    await makePrivateDirectory(this.#plan.into)
    const names = (await readdir(this.#plan.into)).filter((name) => FILE_NAME.test(name)).sort()
    return Promise.all(
      names.map(async (name) => {
        const { size, mtimeMs } = await stat(join(this.#plan.into, name))
        const day = FILE_NAME.exec(name)?.[1] ?? ''
        return { name, day, bytes: size, madeAt: Math.round(mtimeMs) }
      }),
    )
  }

  /** Makes the backup of today where there is none. @returns undefined where there is one */
  makeToday(signal: AbortSignal): Promise<KeptBackup | undefined> {
    return this.#alone(async () => {
      const { day } = this.#now()
      const name = `sallyport-${day}.backup`
      const kept = await this.list()
      return kept.some((one) => one.name === name) ? undefined : this.#write(name, signal)
    })
  }

  /** Makes a backup now. @throws {TunnelError} CONFLICT where the day has many already; as `writeBackup` */
  make(signal: AbortSignal): Promise<KeptBackup> {
    return this.#alone(async () => {
      const { day, time } = this.#now()
      const ofToday = (await this.list()).filter((one) => one.day === day)
      if (ofToday.length >= DAY_MAX) {
        throw new TunnelError('CONFLICT', `There are ${ofToday.length} backups of today.`)
      }
      return this.#write(`sallyport-${day}-${time}.backup`, signal)
    })
  }

  /** Removes what is no longer kept. @returns their names */
  prune(): Promise<readonly string[]> {
    return this.#alone(async () => {
      const kept = await this.list()
      const expired = new Set(expiredDays(kept.map(({ day }) => day)))
      const names = kept.filter(({ day }) => expired.has(day)).map(({ name }) => name)
      for (const name of names) await rm(join(this.#plan.into, name), { force: true })
      return names
    })
  }

  /** The bytes of a backup. @throws {TunnelError} NOT_FOUND, before the first of them */
  async *read(name: string, signal: AbortSignal): AsyncGenerator<Buffer, void> {
    const found = (await this.list()).find((one) => one.name === name)
    if (found === undefined) {
      throw new TunnelError('NOT_FOUND', 'There is no such backup.', { next: 'sallyport relay backups list' })
    }
    yield* createReadStream(join(this.#plan.into, found.name), { signal }) as AsyncIterable<Buffer>
  }

  #now(): { readonly day: string; readonly time: string } {
    const at = new Date(this.#effects.date()).toISOString()
    return { day: at.slice(0, 10), time: at.slice(11, 19).replaceAll(':', '') }
  }

  async #write(name: string, signal: AbortSignal): Promise<KeptBackup> {
    const { directory, into, passphrase } = this.#plan
    const path = join(into, name)
    const effects = this.#effects
    const { bytes } = await writeBackup({ directory, path, passphrase, withMasterKey: true, effects, signal })
    return { name, day: name.slice(10, 20), bytes, madeAt: effects.date() }
  }

  #alone<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#busy.then(work)
    this.#busy = done.catch(() => undefined)
    return done
  }
}
