import { TunnelError } from '../errors.ts'

/** What sites, resources, connectors and tenants may be called: a DNS label in lower case. */
export const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/

/** True where `text` is a name: 1 to 63 of a-z, 0-9 and hyphen, no hyphen first. */
export function isName(text: string): boolean {
  return NAME_PATTERN.test(text)
}

/**
 * Returns `text` where it is a name.
 *
 * @param what is named in the error, such as `site`
 * @throws {TunnelError} CONFIG
 */
export function parseName(text: string, what: string): string {
  if (isName(text)) return text
  throw new TunnelError('CONFIG', `The name of a ${what} is 1 to 63 of a-z, 0-9 and hyphen, no hyphen first.`)
}

/** A resource as connectors address it. The relay knows no host or port behind it. */
export interface ResourceName {
  readonly site: string
  readonly resource: string
}

/**
 * Reads `SITE/RESOURCE`.
 *
 * @throws {TunnelError} CONFIG on any other form
 */
export function parseResourceName(text: string): ResourceName {
  const [site, resource, ...rest] = text.split('/')
  if (site === undefined || resource === undefined || rest.length > 0) {
    throw new TunnelError('CONFIG', 'A resource is named SITE/RESOURCE.')
  }
  return { site: parseName(site, 'site'), resource: parseName(resource, 'resource') }
}

/** Writes `SITE/RESOURCE`. */
export function formatResourceName(name: ResourceName): string {
  return `${name.site}/${name.resource}`
}
