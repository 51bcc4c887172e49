const HEADER = /^\s*\[\[?\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$/

/**
 * The line, counted from 1, of a member of a tenant in a text of TOML, or that of the table in which it stands. It looks at lines
 * only: what is written in another form is not found.
 *
 * @param member with dots, such as `grants.3.hours`
 */
export function lineOf(text: string, tenant: string, member: string): number | undefined {
  const [section = '', ...rest] = member.split('.')
  const isList = /^\d+$/.test(rest[0] ?? '')
  const index = isList ? Number(rest.shift()) : 0
  const lines = text.split('\n')
  const name = `tenants.${tenant}.${section}`
  const headers = lines.flatMap((line, at) => (headerOf(line) === name ? [at] : []))
  const header = headers[index]
  if (header === undefined) return lineOfTenant(lines, tenant, section)
  const next = lines.findIndex((line, at) => at > header && headerOf(line) !== undefined)
  const [key] = rest
  const found = lines.findIndex((line, at) => at > header && (next < 0 || at < next) && keyOf(line) === key)
  return (key !== undefined && found >= 0 ? found : header) + 1
}

/** `grants = [...]` in the table of the tenant. */
function lineOfTenant(lines: readonly string[], tenant: string, section: string): number | undefined {
  const header = lines.findIndex((line) => headerOf(line) === `tenants.${tenant}`)
  if (header < 0) return undefined
  const found = lines.findIndex((line, at) => at > header && keyOf(line) === section)
  return found < 0 ? undefined : found + 1
}

function headerOf(line: string): string | undefined {
  return HEADER.exec(line)?.[1]
    ?.split('.')
    .map((part) => part.trim().replace(/^(["'])(.*)\1$/, '$2'))
    .join('.')
}

function keyOf(line: string): string | undefined {
  return /^\s*["']?([A-Za-z0-9_-]+)["']?\s*=/.exec(line)?.[1]
}
