import { createHash } from 'node:crypto'
import type { Effects } from '../../shared/effects.ts'
import { isName } from '../../shared/identity/names.ts'
import { Secret } from '../../shared/secret.ts'

/** What a token is for. Each has its own beginning, so that a scanner of code finds one that was left somewhere. */
export const TOKEN_PREFIXES = {
  session: 'sp_session_',
  key: 'sp_key_',
  link: 'sp_link_',
  pending: 'sp_pending_',
  device: 'sp_device_',
  machine: 'sp_machine_',
  connector: 'sp_connector_',
} as const

export type TokenKind = keyof typeof TOKEN_PREFIXES

const RANDOM_BYTES = 32

/** A token as the relay knows it: whose it is, and the hash that is looked up. */
export interface ParsedToken {
  readonly tenantId: string
  /** SHA-256 of the whole text, 32 bytes: 256 random bits need no slow hash. */
  readonly hash: Buffer
}

/** A new token of a tenant: the text for its bearer, who alone has it, and the hash that is kept. */
export function makeToken(
  kind: TokenKind,
  tenantId: string,
  effects: Pick<Effects, 'randomBytes'>,
): { readonly text: Secret<string>; readonly hash: Buffer } {
  const random = effects.randomBytes(RANDOM_BYTES).toString('base64url')
  const text = `${TOKEN_PREFIXES[kind]}${tenantId}_${random}`
  return { text: new Secret(text), hash: hashOf(text) }
}

/** Reads the text of a token. It names its tenant, so that every look-up is within one. @returns undefined for what is none */
export function parseToken(kind: TokenKind, text: string): ParsedToken | undefined {
  const prefix = TOKEN_PREFIXES[kind]
  if (!text.startsWith(prefix)) return undefined
  const rest = text.slice(prefix.length)
  const end = rest.indexOf('_')
  const tenantId = rest.slice(0, Math.max(end, 0))
  // 32 bytes are 43 characters of base64url.
  if (!isName(tenantId) || !/^[\w-]{43}$/.test(rest.slice(end + 1))) return undefined
  return { tenantId, hash: hashOf(text) }
}

function hashOf(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}
