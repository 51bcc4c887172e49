import { TunnelError } from '../errors.ts'
import { compareVersions, isVersion } from './version.ts'

/** What an agent says of itself in HELLO, and what a relay may ask for. */
export interface ReleaseStatement {
  readonly channel: string
  readonly version: string
}

const FORM = /^([a-z][a-z0-9-]{0,31})\/(.+)$/

/** `CHANNEL/VERSION`, at most 64 characters. */
export function formatStatement({ channel, version }: ReleaseStatement): string {
  return `${channel}/${version}`
}

/** @throws {TunnelError} CONFIG where it is not `CHANNEL/VERSION` */
export function parseStatement(text: string): ReleaseStatement {
  const [, channel = '', version = ''] = FORM.exec(text) ?? []
  if (isVersion(version)) return { channel, version }
  throw new TunnelError('CONFIG', 'A release is named CHANNEL/VERSION, such as stable/1.2.0.')
}

/**
 * True where `stated`, as it came in HELLO, names a release of the channel that is asked for, not older than that. It
 * keeps out what was forgotten, not what lies: nobody can see from afar what runs.
 */
export function isStatedAtLeast(stated: string | undefined, required: ReleaseStatement): boolean {
  const [, channel, version = ''] = FORM.exec(stated ?? '') ?? []
  return channel === required.channel && isVersion(version) && compareVersions(version, required.version) >= 0
}
