import { createHash, createPublicKey, type KeyObject } from 'node:crypto'
import * as v from 'valibot'
import { TunnelError } from '../errors.ts'
import { channelSchema } from './manifest.ts'

/** Largest file of root keys in bytes. */
export const ROOTS_MAX_BYTES = 8_192

/** Whose word makes a release: public keys, and how many of their holders must agree. */
export interface Roots {
  /** The one channel that these keys speak for. */
  readonly channel: string
  /** 2 at least: one key alone, stolen or not, releases nothing. */
  readonly threshold: number
  /** By key id, see {@link keyId}. */
  readonly keys: ReadonlyMap<string, KeyObject>
}

const rootsSchema = v.pipe(
  v.strictObject({
    channel: channelSchema,
    threshold: v.pipe(v.number(), v.integer(), v.minValue(2)),
    keys: v.pipe(v.array(v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{59}=$/))), v.maxLength(16)),
  }),
  v.check(({ threshold, keys }) => new Set(keys).size === keys.length && threshold <= keys.length),
)

/** The name of a release key: SHA-256 over its DER SubjectPublicKeyInfo, 64 hexadecimal digits. */
export function keyId(publicKey: KeyObject): string {
  return createHash('sha256')
    .update(publicKey.export({ type: 'spki', format: 'der' }))
    .digest('hex')
}

/**
 * Reads a file of root keys: JSON with `channel`, `threshold` and `keys`, each the Base64 of an Ed25519 key's DER
 * SubjectPublicKeyInfo (RFC 8410).
 * @throws {TunnelError} CONFIG
 */
export function parseRoots(text: string): Roots {
  try {
    const { channel, threshold, keys } = v.parse(rootsSchema, JSON.parse(text))
    return { channel, threshold, keys: new Map(keys.map(readKey).map((key) => [keyId(key), key])) }
  } catch (cause) {
    throw new TunnelError('CONFIG', 'The file of release keys is not right.', {
      cause,
      next: 'it is JSON with channel, threshold (2 or more) and keys, each another Ed25519 key in Base64',
    })
  }
}

function readKey(base64: string): KeyObject {
  const key = createPublicKey({ key: Buffer.from(base64, 'base64'), format: 'der', type: 'spki' })
  if (key.asymmetricKeyType !== 'ed25519') throw new Error('a key that is not Ed25519')
  return key
}
