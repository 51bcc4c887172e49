import { createReadStream } from 'node:fs'
import { addAbortSignal, type Readable } from 'node:stream'
import { isTunnelError, TunnelError } from '../errors.ts'
import { readLimited } from '../read-limited.ts'
import { Secret } from '../secret.ts'

/** Join strings and passwords are far shorter. */
const MAX_SECRET_BYTES = 16 * 1024

export interface SecretInputOptions {
  /** Standard input, read where the path is `-`. */
  readonly stdin: Readable
  readonly signal: AbortSignal
  /** Most bytes taken; 16 KiB by default. */
  readonly maxBytes?: number
}

/**
 * Reads a secret from a file, or from standard input where `path` is `-`, so that it need not stand in argv.
 * White space round it is taken off.
 * @throws {TunnelError} USAGE where it is empty, too long, not UTF-8 or cannot be read
 */
export async function readSecret(path: string, options: SecretInputOptions): Promise<Secret<string>> {
  const { stdin, signal, maxBytes = MAX_SECRET_BYTES } = options
  const source = path === '-' ? 'standard input' : path
  const stream = addAbortSignal(signal, path === '-' ? stdin : createReadStream(path))
  const tooLong = () => new TunnelError('USAGE', `More than ${maxBytes} bytes in ${source}.`)
  const bytes = await readLimited(stream, maxBytes, tooLong).catch((cause: unknown) => {
    signal.throwIfAborted()
    if (isTunnelError(cause)) throw cause
    throw new TunnelError('USAGE', `Cannot read the secret from ${source}.`, {
      cause,
      next: 'is the path right, and may this user read it?',
    })
  })
  const text = decode(bytes, source).trim()
  if (text === '')
    throw new TunnelError('USAGE', `Nothing in ${source}.`, { next: 'write the secret there, on one line' })
  return new Secret(text)
}

function decode(bytes: Buffer, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new TunnelError('USAGE', `${source} is not text in UTF-8.`, { cause })
  }
}
