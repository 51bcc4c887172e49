import { open, stat, unlink } from 'node:fs/promises'
import { type Effects, realEffects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import {
  type ConnectorCredentials,
  readCredentials,
  requireCertificate,
  writeCredentials,
} from '../../shared/identity/credentials.ts'

/** Whoever holds the lock longer is taken for dead: a renewal takes seconds. */
const LOCK_MAX_MS = 120_000

/** Where a connector's credentials are kept. */
export interface CredentialsKeeper {
  /** @throws {TunnelError} CREDENTIALS, PERMISSIONS */
  read(): Promise<ConnectorCredentials>
  /** Whole or not at all, and durable when it resolves. @throws {TunnelError} DISK, PERMISSIONS */
  write(credentials: ConnectorCredentials): Promise<void>
  /** Runs `work` while no other process of this machine does. @throws {TunnelError} CONFLICT where another does */
  alone<T>(work: () => Promise<T>): Promise<T>
}

/** Keeps them in the file that they came from, which several processes of this machine may share. */
export function credentialsFile(
  path: string,
  effects: Pick<Effects, 'date'> = realEffects,
): CredentialsKeeper {
  const lock = `${path}.lock`
  return {
    read: async () => requireCertificate(await readCredentials(path)),
    write: (credentials) => writeCredentials(path, credentials),
    async alone(work) {
      await take(lock, effects)
      try {
        return await work()
      } finally {
        await unlink(lock).catch(() => undefined)
      }
    },
  }
}

async function take(lock: string, effects: Pick<Effects, 'date'>): Promise<void> {
  const held = await stat(lock).catch(() => undefined)
  if (held !== undefined && effects.date() - held.mtimeMs > LOCK_MAX_MS)
    await unlink(lock).catch(() => undefined)
  const file = await open(lock, 'wx', 0o600).catch((cause: NodeJS.ErrnoException) => {
    if (cause.code === 'EEXIST')
      throw new TunnelError('CONFLICT', `Another process renews: ${lock}`, { cause })
    throw new TunnelError('PERMISSIONS', `${lock} cannot be made.`, { cause })
  })
  await file.close()
}
