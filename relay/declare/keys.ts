import type { Items, SectionName } from './document.ts'

/** What an item is called: for people, and to find the one that is there. No two of a section have the same. */
const KEYS: { readonly [Name in SectionName]: (item: Items[Name]) => string } = {
  settings: () => 'tenant',
  environments: ({ environment }) => environment,
  restrictions: ({ restriction }) => restriction,
  connectors: ({ environment, connector }) => `${connector} in ${environment}`,
  grants: ({ environment, connector, resource }) => `${connector} to ${resource} in ${environment}`,
  publications: ({ kind, address }) => `${kind} ${address}`,
  deliveries: ({ delivery }) => delivery,
  providers: ({ provider }) => provider,
  machines: ({ machine }) => machine,
  roles: ({ person, role, environment, site }) =>
    [`${person} as ${role}`, environment && ` in ${environment}`, site && ` at ${site}`].join(''),
  freezes: ({ kind, environment, name }) =>
    kind === 'tenant' ? 'tenant' : `${kind} ${name} in ${environment}`,
}

/** Members by which an item is called: two items that differ in one of them are two. */
export const IDENTITY: { readonly [Name in SectionName]: readonly (keyof Items[Name])[] } = {
  settings: [],
  environments: ['environment'],
  restrictions: ['restriction'],
  connectors: ['environment', 'connector'],
  grants: ['environment', 'connector', 'resource'],
  publications: ['kind', 'address'],
  deliveries: ['delivery'],
  providers: ['provider'],
  machines: ['machine'],
  roles: ['person', 'role', 'environment', 'site'],
  freezes: ['kind', 'environment', 'name'],
}

/** See {@link KEYS}. */
export function keyOf<Name extends SectionName>(name: Name, item: Items[Name]): string {
  return KEYS[name](item)
}
