import { readFileSync } from 'node:fs'
import { dirname, resolve } from 'node:path'
import * as v from 'valibot'
import { channelSchema } from '../../shared/release/manifest.ts'

/** What signs a release. Paths are absolute; secrets stay in their files. */
export interface Signing {
  /** The channel of the release, that of the root keys. */
  readonly channel: string
  /** The public release keys and their threshold; they are built into every executable. */
  readonly roots: string
  /** Ed25519 private keys as PEM, those that are at hand. Other holders add their signatures with sign.ts. */
  readonly releaseKeys: readonly string[]
  /** For Windows. */
  readonly authenticode: {
    readonly certificate: string
    /** A PEM file, or a `pkcs11:` URI. */
    readonly key: string
    /** The library of the token, for a `pkcs11:` key. */
    readonly pkcs11Module?: string | undefined
    /** Holds the pass phrase of the key or the PIN of the token. */
    readonly passwordFile?: string | undefined
    /** An RFC 3161 service. Without one, signatures end with the certificate. */
    readonly timestampUrl?: string | undefined
  }
  /** RSA key and certificate of the CMS signature over the check sums. */
  readonly cms: { readonly certificate: string; readonly key: string }
}

/** The schema of a file in `directory`, from which its relative paths start. */
function signingSchema(directory: string) {
  const file = v.pipe(
    v.string(),
    v.minLength(1),
    v.transform((name) => (name.startsWith('pkcs11:') ? name : resolve(directory, name))),
  )
  return v.strictObject({
    channel: channelSchema,
    roots: file,
    releaseKeys: v.optional(v.array(file), []),
    authenticode: v.strictObject({
      certificate: file,
      key: file,
      pkcs11Module: v.optional(file),
      passwordFile: v.optional(file),
      timestampUrl: v.optional(v.pipe(v.string(), v.url())),
    }),
    cms: v.strictObject({ certificate: file, key: file }),
  })
}

/**
 * Reads the file that SALLYPORT_SIGNING names (docs/packages.md).
 * @throws {Error} naming the field that is not right
 */
export function readSigning(path: string): Signing {
  const parsed = v.safeParse(signingSchema(dirname(path)), JSON.parse(readFileSync(path, 'utf8')))
  if (parsed.success) return parsed.output
  const [issue] = parsed.issues
  throw new Error(`${path}: ${v.getDotPath(issue) ?? 'the file'} is not right: ${issue.message}`)
}
