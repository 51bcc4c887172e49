import * as v from 'valibot'
import { TunnelError } from '../errors.ts'
import { canonicalText } from './canonical.ts'
import { isVersion } from './version.ts'

/** Largest manifest in bytes. */
export const MANIFEST_MAX_BYTES = 65_536

/** Largest released file in bytes. */
const FILE_MAX_BYTES = 2 ** 32

/** What goes before a release's text when it is signed, so that a signature for anything else never fits here. */
const DOMAIN = 'sallyport release 1\n'

/** One file of a release. */
export interface ReleasedFile {
  /** Lower case, no directory: the same file on every file system. */
  readonly name: string
  /** In bytes. */
  readonly size: number
  /** 64 hexadecimal digits in lower case. */
  readonly sha256: string
}

/** What the holders of the release keys say together. */
export interface Release {
  readonly product: 'sallyport'
  readonly version: string
  /** Who it is for, such as `stable`; an installation follows one channel. */
  readonly channel: string
  /** The oldest version that the makers still stand behind; not later than `version`. */
  readonly minimum: string
  /** `2026-11-22T12:00:00Z`; after it the manifest proves nothing, as a newer one may be held back. */
  readonly expires: string
  /** By name, each once. */
  readonly files: readonly ReleasedFile[]
}

export interface ReleaseSignature {
  /** SHA-256 over the key's SPKI, 64 hexadecimal digits. */
  readonly key: string
  /** Ed25519 (RFC 8032) over {@link signedBytes}, in Base64. */
  readonly signature: string
}

/** A release with what was signed of it so far. Nothing in it is to be believed before its signatures were counted. */
export interface Manifest {
  readonly signed: Release
  readonly signatures: readonly ReleaseSignature[]
}

const hash = v.pipe(v.string(), v.regex(/^[0-9a-f]{64}$/))

/** A version as releases bear it. */
const versionSchema = v.pipe(v.string(), v.check(isVersion, 'not a version'))

/** The name of a channel. */
export const channelSchema = v.pipe(v.string(), v.regex(/^[a-z][a-z0-9-]{0,31}$/))

const fileSchema = v.strictObject({
  name: v.pipe(v.string(), v.regex(/^(?!.*\.\.)[a-z0-9][a-z0-9._+~-]{0,98}[a-z0-9]$/)),
  size: v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(FILE_MAX_BYTES)),
  sha256: hash,
})

const manifestSchema = v.strictObject({
  signed: v.strictObject({
    product: v.literal('sallyport'),
    version: versionSchema,
    channel: channelSchema,
    minimum: versionSchema,
    expires: v.pipe(v.string(), v.check(isInstant, 'not a time')),
    files: v.pipe(
      v.array(fileSchema),
      v.minLength(1),
      v.maxLength(256),
      v.check((files) => isSorted(files), 'not in order'),
    ),
  }),
  signatures: v.pipe(
    v.array(v.strictObject({ key: hash, signature: v.pipe(v.string(), v.regex(/^[A-Za-z0-9+/]{86}==$/)) })),
    v.maxLength(16),
  ),
})

function isInstant(text: string): boolean {
  const ms = Date.parse(text)
  return !Number.isNaN(ms) && formatInstant(ms) === text
}

function isSorted(files: readonly ReleasedFile[]): boolean {
  return files.every((file, index) => index === 0 || (files[index - 1]?.name ?? '') < file.name)
}

/** Writes milliseconds since 1970 in whole seconds, as `expires` has it. */
export function formatInstant(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** The one form of a manifest as a file: canonical text and a line feed. */
export function formatManifest(manifest: Manifest): string {
  return `${canonicalText(manifest)}\n`
}

/** The bytes that each holder of a release key signs. */
export function signedBytes(release: Release): Buffer {
  return Buffer.from(DOMAIN + canonicalText(release))
}

/**
 * Reads a manifest. Only its one form is taken, byte for byte: what is read is what was signed, and no parser of
 * another make can read it otherwise (a key twice, another number for the same digits, bytes behind the end).
 * @param bytes are not kept
 * @throws {TunnelError} RELEASE_MANIFEST naming the field; it says nothing of the signatures
 */
export function parseManifest(bytes: Uint8Array): Manifest {
  if (bytes.length > MANIFEST_MAX_BYTES) throw wrong(`It has more than ${MANIFEST_MAX_BYTES} bytes.`)
  const text = Buffer.from(bytes).toString('utf8')
  const parsed = v.safeParse(manifestSchema, readJson(text), { abortEarly: true })
  if (!parsed.success) {
    const field = v.getDotPath(parsed.issues[0]) ?? '(all)'
    throw wrong(`The field ${field} is not right.`)
  }
  if (!Buffer.from(formatManifest(parsed.output)).equals(bytes)) {
    throw wrong('It is not in the one form that is signed: was it opened in an editor?')
  }
  return parsed.output
}

function readJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw wrong('It is not JSON; is it cut off?')
  }
}

function wrong(detail: string): TunnelError {
  return new TunnelError('RELEASE_MANIFEST', detail)
}
