import { createHash } from 'node:crypto'
import { realpathSync } from 'node:fs'
import { type FileHandle, open } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { TunnelError } from '../errors.ts'

/** Most bytes of a socket's path that every system takes: `sun_path` holds 104 on macOS, 108 on Linux, with the end mark. */
const MAX_PATH_BYTES = 103

/**
 * Where the process on `dataDir` answers: `control.sock` in the directory itself; on Windows a named pipe called
 * after the directory.
 */
export function controlPath(dataDir: string): string {
  if (process.platform !== 'win32') return join(resolve(dataDir), 'control.sock')
  const name = createHash('sha256').update(realPath(dataDir).toLowerCase()).digest('hex').slice(0, 32)
  return `\\\\.\\pipe\\sallyport-${name}`
}

/** A path short enough for the system, for as long as it is held. */
export interface ShortPath extends AsyncDisposable {
  readonly path: string
}

/**
 * Gives `path` itself where it is short enough; else, on Linux, the same file seen through an open handle of its
 * directory. Both sides reach one and the same socket, and no shared directory such as /tmp is needed.
 * @throws {TunnelError} CONFIG where the path is too long and the system has no way round
 */
export async function shortPath(path: string): Promise<ShortPath> {
  if (process.platform === 'win32' || Buffer.byteLength(path) <= MAX_PATH_BYTES) {
    return { path, async [Symbol.asyncDispose]() {} }
  }
  if (process.platform !== 'linux') {
    throw new TunnelError('CONFIG', `The data directory's path is longer than ${MAX_PATH_BYTES} bytes.`, {
      next: 'choose a shorter one with --data DIR',
    })
  }
  const directory: FileHandle = await open(dirname(path), 'r')
  return {
    path: `/proc/self/fd/${directory.fd}/${basename(path)}`,
    [Symbol.asyncDispose]: () => directory.close(),
  }
}

function realPath(path: string): string {
  try {
    return realpathSync(path)
  } catch {
    return resolve(path)
  }
}
