import { createHash } from 'node:crypto'

/** The strong tag of a body: other bytes, another tag (RFC 9110 section 8.8.3). */
export function etagOf(body: string): string {
  return `"${createHash('sha256').update(body).digest('base64url').slice(0, 27)}"`
}

/**
 * Whether `If-None-Match` or `If-Match` names a tag.
 * @param header tags between commas, or `*` for whatever there is
 * @param isWeak `W/` in front of a tag is looked over, as `If-None-Match` has it
 */
export function namesTag(header: string, tag: string, isWeak: boolean): boolean {
  if (header.trim() === '*') return true
  return header
    .split(',')
    .map((one) => one.trim())
    .some((one) => (isWeak ? one.replace(/^W\//, '') : one) === tag)
}
