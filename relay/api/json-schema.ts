import { toJsonSchema } from '@valibot/to-json-schema'
import type * as v from 'valibot'

/** As much of JSON Schema (2020-12) as is looked at here. */
export interface JsonSchema {
  readonly type?: string | readonly string[]
  readonly properties?: Readonly<Record<string, JsonSchema>>
  readonly required?: readonly string[]
  readonly items?: JsonSchema
  readonly default?: unknown
  readonly additionalProperties?: JsonSchema | boolean
  readonly [keyword: string]: unknown
}

const inputs = new WeakMap<object, JsonSchema>()

/** What a schema takes, each made once. Checks that JSON Schema has no word for are left out. */
export function inputSchema(schema: v.GenericSchema): JsonSchema {
  const known = inputs.get(schema)
  if (known !== undefined) return known
  const made = convert(schema, 'input')
  inputs.set(schema, made)
  return made
}

/** What a schema gives. */
export function outputSchema(schema: v.GenericSchema): JsonSchema {
  return convert(schema, 'output')
}

function convert(schema: v.GenericSchema, typeMode: 'input' | 'output'): JsonSchema {
  const { $schema: _, ...made } = toJsonSchema(schema, {
    typeMode,
    errorMode: 'ignore',
    target: 'draft-2020-12',
  })
  return made as Readonly<Record<string, unknown>>
}
