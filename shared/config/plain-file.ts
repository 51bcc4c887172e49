import { constants } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { type ErrorCode, TunnelError } from '../errors.ts'

/**
 * Opens a file that is no secret, to be read. The caller closes it.
 * @throws {TunnelError} `code` where there is none, or where it is no plain file
 */
export async function openPlainFile(path: string, code: ErrorCode): Promise<FileHandle> {
  // O_NONBLOCK: opening a named pipe must not wait for a writer. Windows has no such flag, nor such pipes.
  const flags = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0)
  const file = await open(path, flags).catch((cause: unknown) => {
    throw new TunnelError(code, `${path} cannot be read.`, { cause })
  })
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw new TunnelError(code, `${path} is no plain file.`)
}

/**
 * Reads a file that is no secret.
 * @throws {TunnelError} `code` where there is none, where it is no plain file, or where it has more than `maxBytes`
 */
export async function readPlainFile(path: string, maxBytes: number, code: ErrorCode): Promise<Buffer> {
  await using file = await openPlainFile(path, code)
  const { size } = await file.stat()
  if (size > maxBytes) throw new TunnelError(code, `${path} has more than ${maxBytes} bytes.`)
  const { buffer, bytesRead } = await file.read(Buffer.alloc(maxBytes), 0, maxBytes, 0)
  return buffer.subarray(0, bytesRead)
}
