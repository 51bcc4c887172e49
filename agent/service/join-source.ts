import { stat, unlink } from 'node:fs/promises'
import type { Readable } from 'node:stream'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { TunnelError } from '../../shared/errors.ts'
import { Secret } from '../../shared/secret.ts'

/** The environment variable that may hold a join string: for containers whose platform knows no secret files. */
export const JOIN_VARIABLE = 'SALLYPORT_JOIN'

/** What the unit puts where no join string was laid out (SetCredential=). */
const NONE = 'none'

export interface JoinSources {
  /** A path, `-` for standard input, or undefined. */
  readonly file: string | undefined
  /** The join variable is taken out of it, so that no child of this process inherits it. */
  readonly environment: NodeJS.ProcessEnv
  readonly stdin: Readable
  readonly signal: AbortSignal
}

/** Where the join string was found. */
export interface FoundJoinString {
  readonly text: Secret<string>
  /** A file that may be removed when it is spent. */
  readonly file?: string
}

/**
 * The join string that lies ready for this agent: in the file, or in `SALLYPORT_JOIN`. Undefined where there is none, which
 * includes a file that is not there, empty, or says `none`.
 * @throws {TunnelError} USAGE where the file cannot be read
 */
export async function findJoinString(sources: JoinSources): Promise<FoundJoinString | undefined> {
  const { file, environment } = sources
  const given = takeVariable(environment)
  const text = file === undefined ? undefined : await readFilled(file, sources)
  if (file !== undefined && text !== undefined) return file === '-' ? { text } : { text, file }
  return given === undefined ? undefined : { text: given }
}

/**
 * The join string for `agent join`, which must have one: the word itself, the file, standard input or the variable.
 * @throws {TunnelError} USAGE where there is none, or two
 */
export async function readJoinString(
  word: string | undefined,
  sources: JoinSources,
): Promise<FoundJoinString> {
  const { file, environment } = sources
  const given = takeVariable(environment)
  const named = [word, file].filter((source) => source !== undefined)
  if (named.length > 1 || (named.length === 0 && given === undefined)) {
    throw new TunnelError(
      'USAGE',
      `Give the join string, or --join-file FILE, or - for standard input, or ${JOIN_VARIABLE} in the environment.`,
      { next: 'sallyport agent join --help' },
    )
  }
  if (word !== undefined && word !== '-') return { text: new Secret(word) }
  if (named.length === 0 && given !== undefined) return { text: given }
  return { text: await readSecret(file ?? '-', sources) }
}

/** Removes the file of a join string that is spent. @returns false where it could not, as in a container's secrets */
export async function discardJoinFile(path: string): Promise<boolean> {
  try {
    await unlink(path)
    return true
  } catch {
    return false
  }
}

function takeVariable(environment: NodeJS.ProcessEnv): Secret<string> | undefined {
  const value = environment[JOIN_VARIABLE]?.trim() ?? ''
  delete environment[JOIN_VARIABLE]
  return value === '' ? undefined : new Secret(value)
}

/** Undefined where the file is not there, is empty, or says that there is none. */
async function readFilled(path: string, sources: JoinSources): Promise<Secret<string> | undefined> {
  if (path !== '-') {
    const stats = await stat(path).catch((cause: NodeJS.ErrnoException) => {
      if (cause.code === 'ENOENT') return undefined
      throw new TunnelError('USAGE', `Cannot read the join string from ${path}.`, { cause })
    })
    if (stats === undefined || (stats.isFile() && stats.size === 0)) return undefined
  }
  const text = await readSecret(path, sources)
  return text.reveal() === NONE ? undefined : text
}
