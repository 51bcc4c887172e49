import { realpathSync, type Stats, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { isSea } from 'node:sea'
import { TunnelError } from '../../shared/errors.ts'

/** The words that start this very program again, the first an absolute path. */
export function ownProgram(): readonly string[] {
  if (isSea()) return [process.execPath]
  return [process.execPath, realpathSync(process.argv[1] ?? '')]
}

/** What the hardened unit hides from its service (ProtectHome=). */
const HIDDEN = ['/home', '/root', '/run/user']
const OTHERS_READ = 0o004
const OTHERS_ENTER = 0o001
const OTHERS_WRITE = 0o022

/**
 * Checks that the user of the service can read the program, and that nobody but root can exchange it: who can do that is the
 * service, and holds its key.
 * @throws {TunnelError} CONFIG naming the path
 */
export function checkProgram(
  program: readonly string[],
  look: (path: string) => Pick<Stats, 'mode' | 'uid'> = statSync,
): void {
  for (const file of program) {
    if (HIDDEN.some((root) => file.startsWith(`${root}/`))) {
      throw unusable(file, 'is in a place that services do not see')
    }
    const { mode, uid } = look(file)
    if ((mode & OTHERS_READ) === 0) throw unusable(file, 'cannot be read by the user of the service')
    if ((mode & OTHERS_WRITE) !== 0 || uid !== 0) throw unusable(file, 'can be changed by others than root')
    for (const directory of parents(file)) {
      if ((look(directory).mode & OTHERS_ENTER) === 0) {
        throw unusable(directory, 'cannot be entered by the user of the service')
      }
    }
  }
}

function parents(file: string): string[] {
  const up = dirname(file)
  return up === file ? [] : [up, ...parents(up)]
}

function unusable(path: string, reason: string): TunnelError {
  return new TunnelError('CONFIG', `${path} ${reason}.`, {
    next: 'install the package, or put the program where root alone writes, as in /opt; or run it by hand: --no-service',
  })
}
