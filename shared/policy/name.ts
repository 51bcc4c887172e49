/** Names of sites, resources and connectors: safe as a file name, a DNS label and a table header. */
const NAME_PATTERN = /^[a-z0-9][a-z0-9-]{0,62}$/

/** The rule of NAME_PATTERN in words, for messages. */
export const NAME_RULE = '1 to 63 of a-z, 0-9 and "-", beginning with a letter or digit'

/** True where `text` may name a site, a resource or a connector. */
export function isName(text: string): boolean {
  return NAME_PATTERN.test(text)
}
