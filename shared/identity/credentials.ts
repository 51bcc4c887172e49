import { X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import { readPrivateFile, writePrivateFile } from '../config/private-file.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import { Secret } from '../secret.ts'
import { JOIN_ADDRESSES_MAX } from './join-string.ts'
import { importKey, spkiHash } from './keys.ts'
import { NAME_PATTERN } from './names.ts'
import {
  formatRelayAddress,
  isServerName,
  parseRelayAddress,
  RELAY_ADDRESS_MAX_LENGTH,
  type RelayAddress,
} from './relay-address.ts'
import { certificateSubject, ID_PATTERN } from './subject.ts'

/** Largest credentials file in bytes. */
const CREDENTIALS_MAX_BYTES = 32_768

const PEM_MAX_LENGTH = 8192

/** What every connector needs to find its relay. */
interface RelayKnowledge {
  readonly connector: string
  /** 1 to 4, in the order in which they are tried. */
  readonly addresses: readonly RelayAddress[]
  /** DNS name or IP address that the certificate of the relay must bear. */
  readonly serverName: string
  /** PEM of the relay's CA, the only root that counts. */
  readonly ca: string
}

/** All that a connector needs to reach its relay by a certificate. */
export interface ConnectorCredentials extends RelayKnowledge {
  /** PEM of the connector's certificate. */
  readonly certificate: string
  /** PKCS#8 PEM. */
  readonly key: Secret<string>
}

/** All that a connector needs to reach its relay by tokens (OAuth 2 client credentials). */
export interface TokenCredentials extends RelayKnowledge {
  readonly clientId: string
  readonly clientSecret: Secret<string>
}

/** True for those of a connector that comes by tokens. */
export function areTokenCredentials(
  credentials: ConnectorCredentials | TokenCredentials,
): credentials is TokenCredentials {
  return 'clientId' in credentials
}

/** Those of a connector that comes by a certificate. @throws {TunnelError} CREDENTIALS where it comes by tokens */
export function requireCertificate(
  credentials: ConnectorCredentials | TokenCredentials,
): ConnectorCredentials {
  if (!areTokenCredentials(credentials)) return credentials
  throw new TunnelError('CREDENTIALS', `${credentials.connector} comes by tokens and has no certificate.`)
}

/** PEM text of limited length, as every stored or received certificate and key is checked. */
export const pemSchema = v.pipe(v.string(), v.maxLength(PEM_MAX_LENGTH), v.startsWith('-----BEGIN '))

/** `host:port` in a JSON document, read into a {@link RelayAddress}. */
const relayAddressSchema = v.pipe(
  v.string(),
  v.maxLength(RELAY_ADDRESS_MAX_LENGTH),
  v.rawTransform(({ dataset, addIssue, NEVER }): RelayAddress => {
    try {
      return parseRelayAddress(dataset.value)
    } catch {
      addIssue({ message: 'not a relay address' })
      return NEVER
    }
  }),
)

/** 1 to 4 relay addresses in a JSON document. */
export const relayAddressesSchema = v.pipe(
  v.array(relayAddressSchema),
  v.minLength(1),
  v.maxLength(JOIN_ADDRESSES_MAX),
)

/** A server name in a JSON document. */
export const serverNameSchema = v.pipe(
  v.string(),
  v.maxLength(253),
  v.check(isServerName, 'not a server name'),
)

const knowledgeEntries = {
  version: v.literal(1),
  connector: v.pipe(v.string(), v.regex(NAME_PATTERN)),
  relays: relayAddressesSchema,
  serverName: serverNameSchema,
  ca: pemSchema,
}

const credentialsSchema = v.variant('kind', [
  v.strictObject({
    ...knowledgeEntries,
    kind: v.literal('sallyport-connector'),
    certificate: pemSchema,
    key: pemSchema,
  }),
  v.strictObject({
    ...knowledgeEntries,
    kind: v.literal('sallyport-connector-by-token'),
    clientId: v.pipe(v.string(), v.regex(ID_PATTERN)),
    clientSecret: v.pipe(v.string(), v.regex(/^[\w-]{1,256}$/)),
  }),
])

/** The content of a credentials file. It holds the key or the client secret: the text is a secret. */
export function formatCredentials(credentials: ConnectorCredentials | TokenCredentials): Secret<string> {
  const { connector, addresses, serverName, ca } = credentials
  const relays = addresses.map(formatRelayAddress)
  const content: v.InferInput<typeof credentialsSchema> = areTokenCredentials(credentials)
    ? {
        ...{ version: 1, kind: 'sallyport-connector-by-token', connector, relays, serverName, ca },
        clientId: credentials.clientId,
        clientSecret: credentials.clientSecret.reveal(),
      }
    : {
        ...{ version: 1, kind: 'sallyport-connector', connector, relays, serverName, ca },
        certificate: credentials.certificate,
        key: credentials.key.reveal(),
      }
  return new Secret(`${JSON.stringify(content, null, 2)}\n`)
}

/**
 * Reads the content of a credentials file and checks that its parts belong together.
 *
 * @throws {TunnelError} CREDENTIALS; the text names the field, never its content
 */
export function parseCredentials(text: string): ConnectorCredentials | TokenCredentials {
  const content = readJson(text)
  const parsed = v.safeParse(credentialsSchema, content, { abortEarly: true })
  if (!parsed.success) {
    throw new TunnelError(
      'CREDENTIALS',
      `The field ${v.getDotPath(parsed.issues[0]) ?? '(all)'} is not right.`,
    )
  }
  const { connector, relays: addresses, serverName, ca } = parsed.output
  const knowledge = { connector, addresses, serverName, ca }
  readCertificate(ca)
  if (parsed.output.kind === 'sallyport-connector-by-token') {
    const { clientId, clientSecret } = parsed.output
    return { ...knowledge, clientId, clientSecret: new Secret(clientSecret) }
  }
  const { certificate, key } = parsed.output
  checkPair(certificate, key)
  return { ...knowledge, certificate, key: new Secret(key) }
}

/**
 * Reads a credentials file.
 *
 * @throws {TunnelError} CREDENTIALS where there is none or it is not right; PERMISSIONS where others can read it
 */
export async function readCredentials(path: string): Promise<ConnectorCredentials | TokenCredentials> {
  const text = await readPrivateFile(path, { maxBytes: CREDENTIALS_MAX_BYTES }).catch((err: unknown) => {
    if (isTunnelError(err) && err.code === 'PERMISSIONS') throw err
    throw new TunnelError('CREDENTIALS', `${path} cannot be read.`, { cause: err })
  })
  return parseCredentials(text)
}

/** Writes a credentials file with mode 0600, whole or not at all. */
export async function writeCredentials(
  path: string,
  credentials: ConnectorCredentials | TokenCredentials,
): Promise<void> {
  await writePrivateFile(path, formatCredentials(credentials).reveal())
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // Without the cause: its text quotes the file.
    throw new TunnelError('CREDENTIALS', 'The file is not JSON.')
  }
}

function checkPair(certificatePem: string, keyPem: string): void {
  const certificate = readCertificate(certificatePem)
  if (certificateSubject(certificate)?.kind !== 'connector') {
    throw new TunnelError('CREDENTIALS', 'The certificate is not that of a connector.')
  }
  if (!readHash(keyPem).equals(spkiHash(certificate))) {
    throw new TunnelError('CREDENTIALS', 'The key does not belong to the certificate.')
  }
}

function readCertificate(pem: string): X509Certificate {
  try {
    return new X509Certificate(pem)
  } catch {
    throw new TunnelError('CREDENTIALS', 'A certificate in it cannot be read.')
  }
}

function readHash(keyPem: string): Buffer {
  try {
    return spkiHash(importKey(keyPem))
  } catch {
    throw new TunnelError('CREDENTIALS', 'The key in it cannot be read.')
  }
}
