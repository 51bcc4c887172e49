import { statSync, watch } from 'node:fs'
import { basename, dirname } from 'node:path'
import { isDeepStrictEqual } from 'node:util'
import type { Effects } from '../../shared/effects.ts'
import { type ErrorCode, isTunnelError, TunnelError } from '../../shared/errors.ts'
import type { Rules } from '../../shared/policy/rule.ts'
import { readRulesFile } from './file.ts'
import type { LastGood } from './last-good.ts'
import { parseRules } from './parse.ts'

/** Milliseconds between two looks at the file. With the settling time it makes the promised second. */
export const POLL_MS = 750
/** Milliseconds for which a changed file must stay as it is before it is read: editors truncate first, or rename. */
export const SETTLE_MS = 100

/** What changed; the names are those of resources. */
export interface RulesChange {
  readonly rules: Rules
  readonly added: readonly string[]
  readonly removed: readonly string[]
  readonly changed: readonly string[]
  /** True where there is no rules file (any more), so that nothing is allowed. */
  readonly missing: boolean
}

/** The file system as the watcher sees it. */
export interface RulesFiles {
  /** A text that is another one whenever the file may be another one; MISSING where there is none. Never rejects. */
  fingerprint(path: string): Promise<string>
  read(path: string): Promise<string>
  /** Calls back when something about the file may have changed. It may miss things: the poll does not. */
  watch(path: string, callback: () => void): () => void
}

export interface WatchOptions {
  readonly effects: Pick<Effects, 'after'>
  readonly files?: RulesFiles
  /** Called after each change that took effect; never for the first reading. */
  readonly onChange: (change: RulesChange) => void
  /** Called after each reading that went well, also where it changed nothing: an error before it is over. */
  readonly onGood?: () => void
  /** Called once for each state of the file that cannot be used; the last good rules stay. */
  readonly onError: (error: TunnelError) => void
  /** Keeps the last good text over restarts; without it a file that is broken at the start allows nothing. */
  readonly lastGood?: LastGood
  /** The copy could not be written, read or removed; the rules in force are as they should be. */
  readonly onCopyFailed?: (err: unknown) => void
}

/** The rules in force, as long as it is not closed. */
export interface RulesWatch extends Disposable {
  readonly rules: Rules
}

/** The fingerprint of a file that is not there. */
export const MISSING = 'missing'

const realRulesFiles: RulesFiles = { fingerprint, read: readRulesFile, watch: watchDirectory }

/**
 * Reads the rules file and follows it. A file that is broken keeps the last good rules in force, at the start those that were
 * kept: someone is in the middle of an edit. A file that is gone denies everything, at the start and later: nobody removes it
 * by a slip of the pen, and "delete the rules" must not mean "keep them for ever". So does one at the start that others could
 * have written: whoever did so chose the moment.
 */
export async function watchRules(path: string, options: WatchOptions): Promise<RulesWatch> {
  const watcher = new RulesWatcher(path, options)
  await watcher.begin()
  return watcher
}

class RulesWatcher implements RulesWatch {
  rules: Rules = new Map()
  readonly #path: string
  readonly #options: WatchOptions
  readonly #files: RulesFiles
  #seen = MISSING
  #isUnread = false
  #isHurried = false
  #isLooking = false
  #isClosed = false
  #cancelTimer = () => {}
  #closeWatch = () => {}

  constructor(path: string, options: WatchOptions) {
    this.#path = path
    this.#options = options
    this.#files = options.files ?? realRulesFiles
  }

  async begin(): Promise<void> {
    this.#closeWatch = this.#files.watch(this.#path, () => this.#hurry())
    this.#seen = await this.#files.fingerprint(this.#path)
    if (this.#seen === MISSING) await this.#keep(undefined)
    else if ((await this.#load((rules) => (this.rules = rules))) === 'POLICY') await this.#recall()
    this.#schedule(POLL_MS)
  }

  [Symbol.dispose](): void {
    this.#isClosed = true
    this.#cancelTimer()
    this.#closeWatch()
  }

  /** Looks soon, once for a burst of notices. */
  #hurry(): void {
    if (this.#isHurried) return
    this.#isHurried = true
    // One look at a time, or an older reading could overtake a newer one.
    if (!this.#isLooking) this.#schedule(SETTLE_MS)
  }

  #schedule(ms: number): void {
    this.#cancelTimer()
    if (!this.#isClosed) this.#cancelTimer = this.#options.effects.after(ms, () => void this.#look())
  }

  async #look(): Promise<void> {
    this.#isHurried = false
    this.#isLooking = true
    const now = await this.#files.fingerprint(this.#path)
    if (now !== this.#seen) {
      this.#seen = now
      this.#isUnread = true
    } else if (this.#isUnread) {
      this.#isUnread = false
      if (now === MISSING) await this.#applyNone()
      else await this.#load((rules) => this.#apply(rules))
    }
    this.#isLooking = false
    this.#schedule(this.#isUnread || this.#isHurried ? SETTLE_MS : POLL_MS)
  }

  /** @returns the code of what is wrong with the file; undefined where nothing is */
  async #load(use: (rules: Rules) => void): Promise<ErrorCode | undefined> {
    let text: string
    let rules: Rules
    try {
      text = await this.#files.read(this.#path)
      rules = parseRules(text, this.#path)
    } catch (err) {
      const error = asTunnelError(this.#path, err)
      // Gone since the look: the next look says so.
      if (error.code !== 'NOT_FOUND' && !this.#isClosed) this.#options.onError(error)
      return error.code
    }
    if (this.#isClosed) return undefined
    use(rules)
    await this.#keep(text)
    return undefined
  }

  /** Takes the rules that were kept when they were last in force. */
  async #recall(): Promise<void> {
    try {
      const text = await this.#options.lastGood?.read()
      if (text !== undefined) this.rules = parseRules(text, this.#path)
    } catch (err) {
      this.#options.onCopyFailed?.(err)
    }
  }

  async #keep(text: string | undefined): Promise<void> {
    try {
      await this.#options.lastGood?.keep(text)
    } catch (err) {
      this.#options.onCopyFailed?.(err)
    }
  }

  async #applyNone(): Promise<void> {
    this.#apply(new Map())
    await this.#keep(undefined)
  }

  #apply(rules: Rules): void {
    if (this.#isClosed) return
    const before = this.rules
    this.rules = rules
    this.#options.onGood?.()
    const names = [...rules.keys()]
    const change = {
      rules,
      added: names.filter((name) => !before.has(name)),
      removed: [...before.keys()].filter((name) => !rules.has(name)),
      changed: names.filter(
        (name) => before.has(name) && !isDeepStrictEqual(before.get(name), rules.get(name)),
      ),
      missing: this.#seen === MISSING,
    }
    if (change.added.length + change.removed.length + change.changed.length > 0)
      this.#options.onChange(change)
  }
}

/** Synchronous: of a local directory it is a look into memory, ten times cheaper than the way by another thread. */
async function fingerprint(path: string): Promise<string> {
  try {
    const { dev, ino, size, mode, uid, mtimeNs, ctimeNs } = statSync(path, { bigint: true })
    return [dev, ino, size, mode, uid, mtimeNs, ctimeNs].join(' ')
  } catch (err) {
    const { code } = err as NodeJS.ErrnoException
    return code === 'ENOENT' ? MISSING : `unreadable ${code}`
  }
}

function watchDirectory(path: string, callback: () => void): () => void {
  const name = basename(path)
  try {
    // The directory, because a file that is replaced by a rename takes its own watch with it.
    const watcher = watch(dirname(path), { persistent: false }, (_event, changed) => {
      if (changed === null || changed === name) callback()
    })
    // Out of watches, or the directory is gone: the poll goes on.
    watcher.on('error', () => watcher.close())
    return () => watcher.close()
  } catch {
    return () => {}
  }
}

function asTunnelError(path: string, err: unknown): TunnelError {
  if (isTunnelError(err)) return err
  const { code = 'unknown fault' } = err as NodeJS.ErrnoException
  return new TunnelError('POLICY', `${path}: cannot be read (${code})`, { cause: err })
}
