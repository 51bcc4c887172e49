import { verify } from 'node:crypto'
import { TunnelError } from '../errors.ts'
import { type Manifest, type Release, signedBytes } from './manifest.ts'
import type { Roots } from './roots.ts'
import { compareVersions } from './version.ts'

/** A release whose signatures hold. */
export interface SignedRelease extends Release {
  /** Ids of the keys that signed it, as many as the threshold or more, each once. */
  readonly signedBy: readonly string[]
}

/**
 * Counts the signatures of different root keys over the release.
 * @throws {TunnelError} RELEASE_SIGNATURES where they are too few, RELEASE_CHANNEL where the keys speak for another one
 */
export function checkSignatures({ signed, signatures }: Manifest, roots: Roots): SignedRelease {
  const bytes = signedBytes(signed)
  const signedBy = new Set<string>()
  for (const { key: id, signature } of signatures) {
    const key = roots.keys.get(id)
    if (key !== undefined && verify(null, bytes, key, Buffer.from(signature, 'base64'))) signedBy.add(id)
  }
  if (signedBy.size < roots.threshold) {
    const claim =
      signed.channel === roots.channel ? '' : ` It calls itself ${signed.channel}, not ${roots.channel}.`
    throw new TunnelError(
      'RELEASE_SIGNATURES',
      `${signedBy.size} of ${roots.keys.size} keys signed it, ${roots.threshold} must.${claim}`,
    )
  }
  if (signed.channel !== roots.channel) {
    throw new TunnelError('RELEASE_CHANNEL', `It is for ${signed.channel}; here it is ${roots.channel}.`)
  }
  return { ...signed, signedBy: [...signedBy] }
}

/**
 * Whether a release may be installed now.
 * @param now milliseconds since 1970
 * @param floor the oldest version that is taken
 * @throws {TunnelError} RELEASE_MANIFEST, RELEASE_EXPIRED, RELEASE_OLD
 */
export function checkFresh(release: Release, now: number, floor: string | undefined): void {
  const { version, minimum, expires } = release
  if (compareVersions(minimum, version) > 0) {
    throw new TunnelError('RELEASE_MANIFEST', `Its minimum ${minimum} is later than its version ${version}.`)
  }
  if (now >= Date.parse(expires)) throw new TunnelError('RELEASE_EXPIRED', `It was good until ${expires}.`)
  if (floor !== undefined && compareVersions(version, floor) < 0) {
    throw new TunnelError('RELEASE_OLD', `It is ${version}; ${floor} is the oldest that is taken.`, {
      next: `fetch the newest release; to go back knowingly: sallyport verify --floor ${version}`,
    })
  }
}
