import { open, unlink } from 'node:fs/promises'
import { TunnelError } from '../errors.ts'

/** How many bytes of a file its writer sees again, to tell whether it is whole. */
const TAIL_BYTES = 256

export interface NewFile {
  readonly bytes: number
  /** The end of it. */
  readonly tail: Buffer
}

/**
 * Writes a file that is not there yet, mode 0600, part by part, as long as it may be. Where something fails nothing of it stays.
 * @param check looks at what was written, and throws where that is not whole
 * @throws {TunnelError} CONFLICT where there is such a file; CONFIG where it cannot be written; and what the parts fail with
 */
export async function writeNewFile(
  path: string,
  parts: AsyncIterable<string | Uint8Array>,
  check: (written: NewFile) => void = () => {},
): Promise<NewFile> {
  const file = await open(path, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST') throw new TunnelError('CONFLICT', `There is a file ${path}.`, { cause })
    throw new TunnelError('CONFIG', `${path} cannot be written.`, { cause })
  })
  try {
    let bytes = 0
    let tail = Buffer.alloc(0)
    for await (const part of parts) {
      const block = Buffer.from(part)
      await file.writeFile(block)
      bytes += block.length
      tail = Buffer.concat([tail, block.subarray(-TAIL_BYTES)]).subarray(-TAIL_BYTES)
    }
    const written = { bytes, tail }
    check(written)
    await file.sync()
    return written
  } catch (err) {
    await unlink(path).catch(() => undefined)
    throw err
  } finally {
    await file.close()
  }
}
