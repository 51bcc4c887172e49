import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { makePrivateDirectory } from '../../shared/config/private-file.ts'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { openSqliteStore } from '../store/sqlite-store.ts'
import type { Store } from '../store/store.ts'
import { type MasterKeys, openMasterKeys } from '../store/vault/master-keys.ts'
import { type CertificateAuthority, createAuthority, loadAuthority } from './certificate-authority.ts'
import type { AuthorityContext } from './context.ts'
import { Copies } from './copies.ts'

/** Lifetimes of agents' certificates: 7 days unless set, 2 minutes to 90 days. */
export const AGENT_LIFETIME = { default: 7 * 86_400_000, min: 2 * 60_000, max: 90 * 86_400_000 } as const

/** Lifetimes of connectors' certificates: 90 days unless set, 2 minutes to 825 days. */
const CONNECTOR_LIFETIME = {
  default: 90 * 86_400_000,
  min: 2 * 60_000,
  max: 825 * 86_400_000,
} as const

export interface AuthorityOptions {
  /** Data directory of the relay; made with mode 0700 where there is none. */
  readonly directory: string
  readonly effects: Effects
  /** See {@link AGENT_LIFETIME}. */
  readonly agentLifetimeMs?: number
  /** See {@link CONNECTOR_LIFETIME}. */
  readonly connectorLifetimeMs?: number
  /** A program that keeps the master key; without one it is in `master.key`. */
  readonly keyCommand?: string | undefined
}

/** The part of the data directory for {@link ensureServerCertificate}. */
export function serverCertificateDirectory(directory: string): string {
  return join(directory, 'tls')
}

/**
 * Opens the store and the CA in the data directory of a relay, and makes both on the first run. The caller disposes of
 * the store.
 *
 * One without the other is no first run but a loss: it is refused, because a new CA or an empty store would lock out
 * every agent, and would forget what was revoked.
 *
 * @throws {TunnelError} STORE where one of them is missing or damaged; PERMISSIONS where others can read them; CONFIG
 * where a lifetime is out of range
 */
export async function openAuthority(options: AuthorityOptions): Promise<AuthorityContext> {
  const { directory, effects } = options
  const agentLifetimeMs = lifetime(options.agentLifetimeMs, AGENT_LIFETIME)
  const connectorLifetimeMs = lifetime(options.connectorLifetimeMs, CONNECTOR_LIFETIME)
  await makePrivateDirectory(directory)
  const storePath = join(directory, 'relay.db')
  const authorityDirectory = join(directory, 'ca')
  const known = await loadAuthority(authorityDirectory)
  if (known !== undefined && !(await exists(storePath))) {
    throw new TunnelError('STORE', `${storePath} is missing.`, { next: 'restore relay.db from a backup' })
  }
  let master: MasterKeys | undefined
  const store = await openSqliteStore(storePath, { effects, wrappers: () => master?.wrappers() ?? [] })
  try {
    const isFirstRun = !(await store.relay.hasTenantKeys())
    master = await openMasterKeys({ directory, effects, keyCommand: options.keyCommand, isFirstRun })
    const authority = known ?? (await firstRun(store, authorityDirectory, effects))
    const lifetimes = { agentLifetimeMs, connectorLifetimeMs }
    return {
      ...{ store, authority, master, effects, ...lifetimes },
      ...{ closed: new Set(), copies: new Copies(effects) },
    }
  } catch (err) {
    await store[Symbol.asyncDispose]()
    throw err
  }
}

async function firstRun(store: Store, directory: string, effects: Effects): Promise<CertificateAuthority> {
  for (const { id } of await store.relay.listTenants()) {
    const [sites, connectors] = [await store.listSites(id), await store.listConnectors(id)]
    if (sites.length + connectors.length > 0) {
      throw new TunnelError('STORE', `The CA is missing from ${directory}.`, {
        next: `restore ${directory} from a backup`,
      })
    }
  }
  return createAuthority(directory, effects)
}

function lifetime(ms: number | undefined, bounds: { default: number; min: number; max: number }): number {
  const value = ms ?? bounds.default
  if (value >= bounds.min && value <= bounds.max) return value
  throw new TunnelError('CONFIG', `A certificate lives ${bounds.min} to ${bounds.max} ms.`)
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
