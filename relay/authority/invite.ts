import { createPublicKey } from 'node:crypto'
import { TunnelError } from '../../shared/errors.ts'
import type { ConnectorCredentials } from '../../shared/identity/credentials.ts'
import { formatJoinString, JOIN_ADDRESSES_MAX, TOKEN_LENGTH } from '../../shared/identity/join-string.ts'
import { exportKey, generateKey, spkiHash } from '../../shared/identity/keys.ts'
import { parseName } from '../../shared/identity/names.ts'
import { isServerName, type RelayAddress } from '../../shared/identity/relay-address.ts'
import { formatId } from '../../shared/identity/subject.ts'
import { Secret } from '../../shared/secret.ts'
import type { Act } from '../audit/record.ts'
import type { ConnectorStore, Grant } from '../store/store.ts'
import { issueClientCertificate } from './client-certificate.ts'
import type { AuthorityContext } from './context.ts'
import { hashToken } from './enroll.ts'

/** How long a join string is good unless the operator says otherwise: 15 minutes. */
const JOIN_LIFETIME_MS = 15 * 60_000

/** Shortest and longest life of a join string, in ms. */
export const JOIN_TTL = { min: 1_000, max: 7 * 86_400_000 } as const

/** Most grants of one connector. */
export const GRANTS_MAX = 1000

/** How the relay is reached from outside. */
export interface RelayLocation {
  /** 1 to 4, in the order in which they are tried. */
  readonly addresses: readonly RelayAddress[]
  /** A name that its server certificate bears. */
  readonly serverName: string
}

export interface JoinStringOptions extends RelayLocation {
  readonly environment: string
  readonly site: string
  readonly lifetimeMs?: number
}

/** A join string, to be shown once: the store keeps only a hash of its token. */
export interface IssuedJoinString {
  readonly text: Secret<string>
  /** Milliseconds since 1970. */
  readonly expiresAt: number
}

/**
 * Makes a join string with a new token for one agent of a site, which need not exist yet.
 *
 * @throws {TunnelError} CONFIG where a name or an address is not right; NOT_FOUND where there is no such environment; STORE
 */
export async function createJoinString(
  context: AuthorityContext,
  tenantId: string,
  options: JoinStringOptions,
  act: Act,
): Promise<IssuedJoinString> {
  checkLocation(options)
  const site = parseName(options.site, 'site')
  const token = Buffer.from(context.effects.randomBytes(TOKEN_LENGTH))
  const expiresAt = act.at + (options.lifetimeMs ?? JOIN_LIFETIME_MS)
  const { environment } = options
  await context.store.createJoinToken(
    tenantId,
    { tokenHash: hashToken(token), environment, site, expiresAt },
    act,
  )
  const text = formatJoinString({
    addresses: options.addresses,
    serverName: options.serverName,
    caPin: spkiHash(context.authority.certificate),
    token: new Secret(token),
  })
  return { text, expiresAt }
}

export interface ConnectorOptions extends RelayLocation {
  readonly environment: string
  readonly name: string
  /** What it may open; at most 1000. */
  readonly grants: readonly Grant[]
}

/** What is handed to the connector, and what the relay calls it. */
export interface IssuedConnector {
  readonly id: string
  readonly fingerprint: string
  /** Milliseconds since 1970. */
  readonly notAfter: number
  /** The key is made here, handed out once and not kept. */
  readonly credentials: ConnectorCredentials
}

/**
 * Adds a connector with its grants and makes its credentials.
 *
 * @throws {TunnelError} CONFIG where a name or an address is not right; CONFLICT where the name is taken; NOT_FOUND
 * where there is no such environment; STORE
 */
export async function issueConnector(
  context: Omit<AuthorityContext, 'store'> & { readonly store: Pick<ConnectorStore, 'addConnector'> },
  tenantId: string,
  options: ConnectorOptions,
  act: Act,
): Promise<IssuedConnector> {
  checkLocation(options)
  const name = parseName(options.name, 'connector')
  const grants = checkGrants(options.grants)
  const { store, effects, authority } = context
  const key = await generateKey()
  const id = formatId(effects.randomBytes(16))
  const issued = await issueClientCertificate(
    authority,
    createPublicKey(key),
    { kind: 'connector', tenantId, id },
    context.connectorLifetimeMs,
    effects,
  )
  const { environment } = options
  await store.addConnector(
    tenantId,
    { ...issued.record, id, environment, name, createdAt: act.at },
    grants,
    act,
  )
  const { fingerprint, notAfter } = issued.record
  return {
    id,
    fingerprint,
    notAfter,
    credentials: {
      connector: name,
      addresses: options.addresses,
      serverName: options.serverName,
      ca: authority.certificate.toString(),
      certificate: issued.pem,
      key: new Secret(exportKey(key)),
    },
  }
}

/** Returns the grants where all names are right and there are not too many. @throws {TunnelError} CONFIG */
export function checkGrants(grants: readonly Grant[]): readonly Grant[] {
  if (grants.length > GRANTS_MAX) throw new TunnelError('CONFIG', `At most ${GRANTS_MAX} grants.`)
  return grants.map((grant) => ({
    site: parseName(grant.site, 'site'),
    resource: parseName(grant.resource, 'resource'),
  }))
}

/** @throws {TunnelError} CONFIG where an address or the name is not right */
export function checkLocation({ addresses, serverName }: RelayLocation): void {
  if (addresses.length === 0 || addresses.length > JOIN_ADDRESSES_MAX) {
    throw new TunnelError('CONFIG', `A relay has 1 to ${JOIN_ADDRESSES_MAX} addresses.`)
  }
  if (!isServerName(serverName)) throw new TunnelError('CONFIG', 'The name of the relay is not right.')
}
