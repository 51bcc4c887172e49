import * as v from 'valibot'

/** Items of a page where nothing else is said, and at most. */
const LIMIT = { default: 100, max: 1_000 } as const

/** What a list takes beside its own input: where it goes on, and how many items at most. */
export const pageFields = {
  limit: v.optional(v.pipe(v.number(), v.integer(), v.minValue(1), v.maxValue(LIMIT.max)), LIMIT.default),
  cursor: v.optional(v.pipe(v.string(), v.maxLength(1_024))),
}

/** The answer of a list; `next` is absent on the last page. */
export function pageOutput<Item extends v.GenericSchema>(item: Item) {
  return v.object({ items: v.array(item), next: v.optional(v.string()) })
}

/**
 * A page of `all`, in the order of their keys. What comes and goes between two pages makes none of the others come twice or
 * not at all.
 *
 * @param keyOf of which no two items have the same
 */
export function pageOf<Item>(
  all: readonly Item[],
  keyOf: (item: Item) => string,
  { limit, cursor }: { readonly limit: number; readonly cursor?: string | undefined },
): { items: Item[]; next?: string } {
  const after = cursor === undefined ? '' : Buffer.from(cursor, 'base64url').toString('utf8')
  const rest = all
    .map((item) => ({ item, key: keyOf(item) }))
    .filter(({ key }) => key > after)
    .sort((one, other) => (one.key < other.key ? -1 : 1))
  const page = rest.slice(0, limit)
  const items = page.map(({ item }) => item)
  const last = page.at(-1)
  if (last === undefined || page.length === rest.length) return { items }
  return { items, next: Buffer.from(last.key).toString('base64url') }
}
