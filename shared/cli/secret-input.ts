import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import { TunnelError } from '../errors.ts'
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
  const bytes = await readLimited(path === '-' ? stdin : createReadStream(path), maxBytes, signal).catch(
    (cause: unknown) => {
      signal.throwIfAborted()
      throw new TunnelError('USAGE', `Cannot read the secret from ${source}.`, {
        cause,
        next: 'is the path right, and may this user read it?',
      })
    },
  )
  if (bytes === undefined) throw new TunnelError('USAGE', `More than ${maxBytes} bytes in ${source}.`)
  const text = decode(bytes, source).trim()
  if (text === '')
    throw new TunnelError('USAGE', `Nothing in ${source}.`, { next: 'write the secret there, on one line' })
  return new Secret(text)
}

/** All of `stream`, or undefined where it holds more than `maxBytes`. */
async function readLimited(
  stream: Readable,
  maxBytes: number,
  signal: AbortSignal,
): Promise<Buffer | undefined> {
  const stop = () => stream.destroy(signal.reason as Error)
  if (signal.aborted) stop()
  signal.addEventListener('abort', stop, { once: true })
  try {
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      length += chunk.length
      if (length > maxBytes) return undefined
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  } finally {
    signal.removeEventListener('abort', stop)
  }
}

function decode(bytes: Buffer, source: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes)
  } catch (cause) {
    throw new TunnelError('USAGE', `${source} is not text in UTF-8.`, { cause })
  }
}
