import { X509Certificate } from 'node:crypto'
import { join } from 'node:path'
import * as v from 'valibot'
import {
  type FileSteps,
  readPrivateFile,
  realFileSteps,
  writePrivateFile,
} from '../shared/config/private-file.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import { pemSchema, relayAddressesSchema, serverNameSchema } from '../shared/identity/credentials.ts'
import { importKey, spkiHash } from '../shared/identity/keys.ts'
import { NAME_PATTERN } from '../shared/identity/names.ts'
import { formatRelayAddress, type RelayAddress } from '../shared/identity/relay-address.ts'
import { certificateSubject, ID_PATTERN } from '../shared/identity/subject.ts'
import { fromJson } from '../shared/json.ts'
import { Secret } from '../shared/secret.ts'

/** All that makes an agent who it is. */
export interface AgentIdentity {
  readonly agentId: string
  readonly tenant: string
  readonly site: string
  /** 1 after joining, one more with each renewal. */
  readonly generation: number
  /** The relay's addresses at the time of joining; settings.json may name others. */
  readonly addresses: readonly RelayAddress[]
  /** What the certificate of the relay must bear. */
  readonly serverName: string
  /** PEM of the relay's CA, the only root that counts. */
  readonly ca: string
  /** PEM. */
  readonly certificate: string
  /** PKCS#8 PEM; it was made here and never leaves. */
  readonly key: Secret<string>
  /** When the certificate came, by this machine's clock, in milliseconds since 1970. */
  readonly obtainedAt: number
  /** How long the relay said that it is good from then on, in milliseconds. */
  readonly lifetimeMs: number
}

const FILE_NAME = 'identity.json'

const time = v.pipe(v.number(), v.integer(), v.minValue(0), v.maxValue(8.64e15))

const identitySchema = v.strictObject({
  version: v.literal(1),
  kind: v.literal('sallyport-agent'),
  agentId: v.pipe(v.string(), v.regex(ID_PATTERN)),
  tenant: v.pipe(v.string(), v.regex(NAME_PATTERN)),
  site: v.pipe(v.string(), v.regex(NAME_PATTERN)),
  generation: v.pipe(v.number(), v.integer(), v.minValue(1)),
  relays: relayAddressesSchema,
  serverName: serverNameSchema,
  ca: pemSchema,
  certificate: pemSchema,
  key: pemSchema,
  obtainedAt: time,
  lifetimeMs: v.pipe(time, v.minValue(1)),
})

/** Where the identity is kept in the data directory of an agent. */
export function identityPath(directory: string): string {
  return join(directory, FILE_NAME)
}

/**
 * Stores an identity. Key, certificate and CA share one file, so that a crash leaves the old three or the new three.
 *
 * @param directory private; see `makePrivateDirectory`
 */
export async function writeIdentity(
  directory: string,
  identity: AgentIdentity,
  steps: FileSteps = realFileSteps,
): Promise<void> {
  const content: v.InferInput<typeof identitySchema> = {
    version: 1,
    kind: 'sallyport-agent',
    agentId: identity.agentId,
    tenant: identity.tenant,
    site: identity.site,
    generation: identity.generation,
    relays: identity.addresses.map(formatRelayAddress),
    serverName: identity.serverName,
    ca: identity.ca,
    certificate: identity.certificate,
    key: identity.key.reveal(),
    obtainedAt: identity.obtainedAt,
    lifetimeMs: identity.lifetimeMs,
  }
  await writePrivateFile(identityPath(directory), `${JSON.stringify(content, null, 2)}\n`, steps)
}

/**
 * Reads the identity of an agent.
 *
 * @returns undefined where the agent has not joined
 * @throws {TunnelError} IDENTITY where the file is damaged; PERMISSIONS where others can read it, or it is a link
 */
export async function readIdentity(directory: string): Promise<AgentIdentity | undefined> {
  const path = identityPath(directory)
  let text: string
  try {
    text = await readPrivateFile(path, { followLinks: false })
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_FOUND') return undefined
    throw err
  }
  const parsed = fromJson(text, identitySchema)
  if (!parsed.success) throw damaged(path, v.getDotPath(parsed.issues[0]) ?? '(all)')
  const { relays, key, version: _version, kind: _kind, ...rest } = parsed.output
  const identity = { ...rest, addresses: relays, key: new Secret(key) }
  if (!belongTogether(identity)) throw damaged(path, 'key')
  return identity
}

/** True where the certificate is the CA's, names this agent and bears this key. */
export function belongTogether(identity: AgentIdentity): boolean {
  try {
    const certificate = new X509Certificate(identity.certificate)
    const subject = certificateSubject(certificate)
    return (
      subject?.kind === 'agent' &&
      subject.id === identity.agentId &&
      subject.tenantId === identity.tenant &&
      certificate.verify(new X509Certificate(identity.ca).publicKey) &&
      spkiHash(importKey(identity.key.reveal())).equals(spkiHash(certificate))
    )
  } catch {
    // What cannot be read does not belong together; what OpenSSL says may quote the key.
    return false
  }
}

function damaged(path: string, field: string): TunnelError {
  return new TunnelError('IDENTITY', `${path} is damaged at ${field}.`, {
    leg: 'agent',
    next: 'restore the file from a backup, or join again with a new join string',
  })
}
