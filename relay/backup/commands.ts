import type { Readable } from 'node:stream'
import type { Output } from '../../shared/cli/output.ts'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { writeNewFile } from '../../shared/config/new-file.ts'
import { realEffects } from '../../shared/effects.ts'
import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext, streamRelay } from '../ask-relay.ts'
import { downloadBackup, listBackups, makeBackup, pruneBackups } from '../operations/backups.ts'
import { writeBackup } from './backup.ts'
import { restoreBackup } from './restore.ts'

interface Context {
  readonly data: string
  /** A file, or `-` for standard input. */
  readonly passphraseFile: string
  readonly stdin: Readable
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport relay backup`. */
export async function relayBackup(options: Context & { out: string; masterKey: boolean }): Promise<void> {
  const { data, out, signal, output, masterKey } = options
  const passphrase = await readSecret(options.passphraseFile, options)
  const request = { directory: data, path: out, passphrase, withMasterKey: masterKey }
  const made = await output.progress(
    'writing the backup',
    writeBackup({ ...request, effects: realEffects, signal }),
  )
  const held = masterKey ? 'the master key (where the relay has one in a file)' : 'no master key'
  output.result(
    { out, ...made, masterKey },
    `${out}: ${made.bytes} bytes, ${made.files} files: the store, the CA with its key, certificates, ${held}`,
  )
}

/** `sallyport relay restore`. */
export async function relayRestore(
  options: Context & { file: string; keyCommand?: string; masterKey?: string },
): Promise<void> {
  const { data, file, signal, output, keyCommand, masterKey } = options
  const passphrase = await readSecret(options.passphraseFile, options)
  const request = { path: file, directory: data, passphrase, keyCommand, masterKey }
  const { files } = await output.progress(
    'restoring',
    restoreBackup({ ...request, effects: realEffects, signal }),
  )
  output.result(
    { data, files },
    `${data}: ${files} files, checked; next: sallyport audit verify --data ${data}`,
  )
}

/** A large store takes its time, in ms. */
const MAKE_MS = 600_000

/** `sallyport relay backups make`. */
export async function backupsMake(options: CommandContext): Promise<void> {
  const asked = askRelay(options, makeBackup, {}, { timeoutMs: MAKE_MS })
  const made = await options.output.progress('making a backup', asked)
  options.output.result(made, `${made.backup}  ${made.bytes} bytes`)
}

/** `sallyport relay backups list`. */
export async function backupsList(options: CommandContext): Promise<void> {
  const items = await askAll((page) => askRelay(options, listBackups, page))
  options.output.result(
    { backups: items },
    items.length === 0
      ? 'no backups yet: sallyport relay backups make'
      : items.map(
          ({ backup, bytes, madeAt }) => `${backup}  ${bytes} bytes  ${new Date(madeAt).toISOString()}`,
        ),
  )
}

/** `sallyport relay backups prune`. */
export async function backupsPrune(options: CommandContext): Promise<void> {
  const { removed } = await askRelay(options, pruneBackups, {})
  options.output.result(
    { removed },
    removed.length === 0 ? 'all of them are kept' : removed.map((name) => `${name} is gone`),
  )
}

/** `sallyport relay backups download`. */
export async function backupsDownload(
  options: Omit<CommandContext, 'data'> & { relay: string; name: string; out?: string },
): Promise<void> {
  const { name, out = name, output } = options
  const parts = streamRelay(options, downloadBackup, { backup: name })
  const { bytes } = await output.progress(`fetching ${name}`, writeNewFile(out, parts))
  output.result({ backup: name, out, bytes }, [
    `${out}: ${bytes} bytes, sealed by the passphrase of the relay`,
    `next: sallyport relay restore ${out} --passphrase-file FILE --data NEWDIR`,
  ])
}
