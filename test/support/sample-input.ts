import type { JsonSchema } from '../../relay/api/json-schema.ts'

/** Members with a grammar that JSON Schema does not tell of, by their names: one that a new input needs is added here. */
const NAMED: Readonly<Record<string, unknown>> = {
  resource: 'n0b0dy/db',
  resources: ['n0b0dy/db'],
  url: 'https://n0b0dy.example/',
  issuer: 'https://n0b0dy.example/',
  // Nobody gives a role that he does not hold himself, and this one is within most others.
  role: 'developer',
}

/** The smallest value that a schema takes, as far as the schema says it all. */
export function sampleOf(schema: JsonSchema): unknown {
  if (schema.const !== undefined) return schema.const
  if (Array.isArray(schema.enum)) return schema.enum[0]
  const [choice] = (schema.anyOf ?? schema.oneOf ?? schema.allOf ?? []) as readonly JsonSchema[]
  if (choice !== undefined) return sampleOf(choice)
  switch ([schema.type].flat()[0]) {
    case 'string':
      return sampleText(schema)
    case 'number':
    case 'integer':
      return typeof schema.minimum === 'number' ? schema.minimum : 1
    case 'boolean':
      return false
    case 'array':
      return Array.from({ length: Number(schema.minItems ?? 0) }, () => sampleOf(schema.items ?? {}))
    case 'object':
      return sampleMembers(schema)
    default:
      return null
  }
}

/** The members that an object must have, each the smallest. */
export function sampleMembers({ properties = {}, required = [] }: JsonSchema): Record<string, unknown> {
  return Object.fromEntries(required.map((name) => [name, NAMED[name] ?? sampleOf(properties[name] ?? {})]))
}

function sampleText({ minLength, format }: JsonSchema): string {
  if (format === 'email') return 'n0b0dy@example.org'
  return 'n0b0dy'.padEnd(Number(minLength ?? 0), 'x')
}
