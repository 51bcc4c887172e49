import { homedir } from 'node:os'
import { join } from 'node:path'

/**
 * Where a role keeps its data unless `--data` says otherwise: the system's place for services when run as root, the
 * user's own otherwise.
 */
export function defaultDataDirectory(
  role: 'relay' | 'agent',
  environment: NodeJS.ProcessEnv,
  isRoot: boolean,
): string {
  if (process.platform === 'win32') {
    return join(environment.ProgramData ?? 'C:\\ProgramData', 'Sallyport', role)
  }
  if (isRoot) return join('/var/lib/sallyport', role)
  return join(environment.XDG_DATA_HOME ?? join(homedir(), '.local', 'share'), 'sallyport', role)
}
