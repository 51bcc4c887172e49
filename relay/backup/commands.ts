import type { Readable } from 'node:stream'
import type { Output } from '../../shared/cli/output.ts'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { realEffects } from '../../shared/effects.ts'
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
