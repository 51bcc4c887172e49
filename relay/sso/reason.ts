/** A short reason for people and the audit. Texts of libraries, no tokens. */
export function reasonOf(cause: unknown): string {
  if (!(cause instanceof Error)) return 'unknown'
  const inner = cause.cause instanceof Error ? `: ${cause.cause.message}` : ''
  return `${cause.message}${inner}`.slice(0, 200)
}
