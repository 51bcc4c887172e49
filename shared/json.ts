import * as v from 'valibot'

/** Text that should be JSON of `schema`, checked. What is no JSON fits none. */
export function fromJson<T extends v.GenericSchema>(text: string, schema: T): v.SafeParseResult<T> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch {
    // Undefined, which no document is.
  }
  return v.safeParse(schema, value, { abortEarly: true })
}
