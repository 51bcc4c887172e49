import { CENSOR } from '../../shared/secret.ts'

/** Names whose values are secret wherever they stand, in JSON, TOML, headers or a query. */
const SECRET_NAMES =
  'token|password|passwd|secret|key|private[-_]?key|authorization|proxy-authorization|cookie|set-cookie|credentials?'

/**
 * What must not leave this machine, as text: whatever wrote it, and whether or not it should have. The order counts: the
 * longest forms go first. Each step is bounded, so that no line, whoever wrote it, makes the search slow.
 */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(?:-----END [A-Z ]*PRIVATE KEY-----|$)/g, CENSOR],
  [/sallyport-join-[\w.~+/=-]+/g, CENSOR],
  // scheme://user:password@host
  [/\b([a-z][a-z0-9+.-]{0,20}:\/\/)[^\s/"'@]{1,1024}@/gi, `$1${CENSOR}@`],
  [/\b(Basic|Bearer|Digest|NTLM|Negotiate)\s+[^\s"',]{4,}/g, `$1 ${CENSOR}`],
  // "name": "value", name = "value", Name: value
  [
    new RegExp(`("(?:[\\w-]{0,64}[-_])?(?:${SECRET_NAMES})"\\s*:\\s*)"(?:[^"\\\\]|\\\\.)*"`, 'gi'),
    `$1"${CENSOR}"`,
  ],
  [
    new RegExp(
      `\\b((?:[\\w-]{0,64}[-_])?(?:${SECRET_NAMES})\\s*=\\s*)(?:"[^"\\n]*"|'[^'\\n]*'|[^\\s"'&]+)`,
      'gi',
    ),
    `$1${CENSOR}`,
  ],
  [new RegExp(`^(\\s*(?:${SECRET_NAMES})\\s*:\\s*)\\S.*$`, 'gim'), `$1${CENSOR}`],
]

/** `text` without private keys, join strings, credentials in URLs and headers, and values whose names say that they are secret. */
export function redact(text: string): string {
  return PATTERNS.reduce((before, [pattern, by]) => before.replace(pattern, by), text)
}
