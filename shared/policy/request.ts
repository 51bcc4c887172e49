import type { HttpRule } from './rule.ts'

/** The first line of an HTTP request, as it came in. */
export interface HttpRequestLine {
  readonly method: string
  /** The request target, query and all. */
  readonly target: string
}

/** Why a request is not passed on. */
export type RequestDenial = 'method' | 'path' | 'request-target'

/** Dot segments, also with a path parameter behind them, which some servers cut off before they resolve them. */
const DOT_SEGMENT = /\/\.{1,2}(?:[/;]|$)/
/** Octets that servers decode into path syntax: "%" itself, ".", "/", ";", "\" and NUL. */
const ENCODED_SYNTAX = /%(?:25|2e|2f|3b|5c|00)/i

/**
 * Whether a request may go to an HTTP resource. Only the origin form (RFC 9112 section 3.2.1) passes: the
 * authority comes from the rule. Where path prefixes count, a path that two servers could read differently is
 * refused instead of normalised.
 * @returns undefined where it may pass
 */
export function requestDenial(
  rule: HttpRule | undefined,
  request: HttpRequestLine,
): RequestDenial | undefined {
  if (!/^\/[\x21-\x22\x24-\x7e]*$/.test(request.target)) return 'request-target'
  if (request.method === 'CONNECT' || request.method === 'TRACE') return 'method'
  if (rule === undefined) return undefined
  if (rule.methods.length > 0 && !rule.methods.includes(request.method)) return 'method'
  if (rule.pathPrefixes.length === 0) return undefined
  const [path = ''] = request.target.split('?', 1)
  if (isAmbiguous(path)) return 'request-target'
  return rule.pathPrefixes.some((prefix) => hasPrefix(path, prefix)) ? undefined : 'path'
}

function isAmbiguous(path: string): boolean {
  return path.includes('//') || path.includes('\\') || DOT_SEGMENT.test(path) || ENCODED_SYNTAX.test(path)
}

function hasPrefix(path: string, prefix: string): boolean {
  return path.startsWith(prefix.endsWith('/') ? prefix : `${prefix}/`) || path === prefix
}
