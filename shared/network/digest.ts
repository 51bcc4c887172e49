import { createHash } from 'node:crypto'
import type { Challenge } from './challenge.ts'

/** HTTP Digest (RFC 7616) with qop `auth`, the only quality that a CONNECT can have. */
export type DigestAlgorithm = 'SHA-256' | 'MD5'

/** The strongest algorithm first. */
export const DIGEST_ALGORITHMS: readonly DigestAlgorithm[] = ['SHA-256', 'MD5']

const HASHES = { 'SHA-256': 'sha256', MD5: 'md5' } as const

/** The algorithm of a Digest challenge; undefined where it is one that we do not speak, or has no qop `auth`. */
export function digestAlgorithm({ scheme, params }: Challenge): DigestAlgorithm | undefined {
  const offered = (params.get('qop') ?? '').split(',').map((qop) => qop.trim().toLowerCase())
  if (scheme !== 'digest' || !params.has('nonce') || !offered.includes('auth')) return undefined
  const name = (params.get('algorithm') ?? 'MD5').toUpperCase()
  return DIGEST_ALGORITHMS.find((algorithm) => algorithm === name)
}

export interface DigestInput {
  readonly challenge: Challenge
  readonly algorithm: DigestAlgorithm
  readonly user: string
  readonly password: string
  readonly method: string
  /** As it stands in the request line. */
  readonly uri: string
  /** Random, printable. */
  readonly cnonce: string
  /** How many requests were answered with this nonce, this one included. */
  readonly count: number
}

/** The value of Authorization or Proxy-Authorization (RFC 7616 section 3.4). */
export function digestAnswer(input: DigestInput): string {
  const { challenge, algorithm, user, password, method, uri, cnonce } = input
  const hash = (text: string) => createHash(HASHES[algorithm]).update(text, 'utf8').digest('hex')
  const realm = challenge.params.get('realm') ?? ''
  const nonce = challenge.params.get('nonce') ?? ''
  const opaque = challenge.params.get('opaque')
  const nc = input.count.toString(16).padStart(8, '0')
  const secret = hash(`${user}:${realm}:${password}`)
  const response = hash(`${secret}:${nonce}:${nc}:${cnonce}:auth:${hash(`${method}:${uri}`)}`)
  const parts = [
    `username=${quoted(user)}`,
    `realm=${quoted(realm)}`,
    `uri=${quoted(uri)}`,
    `algorithm=${algorithm}`,
    `nonce=${quoted(nonce)}`,
    `nc=${nc}`,
    `cnonce=${quoted(cnonce)}`,
    'qop=auth',
    `response="${response}"`,
    ...(opaque === undefined ? [] : [`opaque=${quoted(opaque)}`]),
  ]
  return `Digest ${parts.join(', ')}`
}

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, '\\$&')}"`
}
