import { unlink } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import * as v from 'valibot'
import { makePrivateDirectory, readPrivateFile, writePrivateFile } from '../config/private-file.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import { isServerName, type RelayAddress } from '../identity/relay-address.ts'
import { fromJson } from '../json.ts'
import { Secret } from '../secret.ts'

/** What a login at a relay left on this machine for commands with `--relay`. */
export interface RemoteLogin {
  readonly address: RelayAddress
  /** Goes into `Authorization: Bearer`. */
  readonly token: Secret<string>
  /** PEM of the relay's CA, the only root that counts then; the roots of the system where it is left out. */
  readonly ca?: string | undefined
  /** Whom the token stands for, as it was named at the login. */
  readonly person?: string | undefined
  /** When it ends at the latest, in ms since 1970. */
  readonly expiresAt?: number | undefined
}

const fileSchema = v.strictObject({
  version: v.literal(1),
  relay: v.pipe(v.string(), v.maxLength(512)),
  token: v.pipe(v.string(), v.minLength(1), v.maxLength(4096)),
  ca: v.optional(v.pipe(v.string(), v.maxLength(16_384))),
  person: v.optional(v.pipe(v.string(), v.maxLength(512))),
  expiresAt: v.optional(v.number()),
})

/**
 * Reads `https://HOST[:PORT]`, which may end in a slash.
 * @throws {TunnelError} USAGE on any other form; it repeats nothing of what was given
 */
export function parseRelayUrl(text: string): RelayAddress {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const host = url?.hostname.replace(/^\[(.*)\]$/, '$1') ?? ''
  const rest = url === undefined ? '' : `${url.username}${url.password}${url.search}${url.hash}`
  if (url?.protocol !== 'https:' || rest !== '' || url.pathname !== '/' || !isServerName(host)) {
    throw new TunnelError('USAGE', 'A relay is named https://HOST or https://HOST:PORT, and no more.')
  }
  return { host, port: url.port === '' ? 443 : Number(url.port) }
}

/** `https://HOST[:PORT]`, as {@link parseRelayUrl} reads it. */
export function formatRelayUrl({ host, port }: RelayAddress): string {
  const name = host.includes(':') ? `[${host}]` : host
  return `https://${name}${port === 443 ? '' : `:${port}`}`
}

/** Where logins are kept: one file of mode 0600 for each relay, in a directory of mode 0700. */
export function loginDirectory(environment: NodeJS.ProcessEnv): string {
  const base =
    process.platform === 'win32'
      ? (environment.APPDATA ?? join(homedir(), 'AppData', 'Roaming'))
      : (environment.XDG_CONFIG_HOME ?? join(homedir(), '.config'))
  return join(base, 'sallyport', 'logins')
}

/** @throws {TunnelError} LOGIN where there is none, or one that is damaged; PERMISSIONS where others may read it */
export async function readLogin(directory: string, address: RelayAddress): Promise<RemoteLogin> {
  const next = `sallyport login --relay ${formatRelayUrl(address)}`
  const text = await readPrivateFile(fileOf(directory, address), { followLinks: false }).catch(
    (error: unknown) => {
      if (isTunnelError(error) && error.code === 'NOT_FOUND') throw new TunnelError('LOGIN', '', { next })
      throw error
    },
  )
  const parsed = fromJson(text, fileSchema)
  if (!parsed.success) throw new TunnelError('LOGIN', 'The stored login is damaged.', { next })
  const { token, ca, person, expiresAt } = parsed.output
  return { address, token: new Secret(token), ca, person, expiresAt }
}

/** Keeps a login in the place of the one before at the same relay. @throws {TunnelError} PERMISSIONS, DISK */
export async function writeLogin(directory: string, login: RemoteLogin): Promise<void> {
  const { address, token, ca, person, expiresAt } = login
  await makePrivateDirectory(directory)
  const content = { version: 1, relay: formatRelayUrl(address), token: token.reveal(), ca, person, expiresAt }
  await writePrivateFile(fileOf(directory, address), `${JSON.stringify(content)}\n`)
}

/** @returns false where there was none */
export async function removeLogin(directory: string, address: RelayAddress): Promise<boolean> {
  try {
    await unlink(fileOf(directory, address))
    return true
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false
    throw error
  }
}

function fileOf(directory: string, { host, port }: RelayAddress): string {
  return join(directory, `${host.replaceAll(':', '-')}_${port}.json`)
}
