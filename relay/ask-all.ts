/** Most items that a command shows. */
const SHOWN_MAX = 10_000

/** All pages of a list, one after the other. */
export async function askAll<Item>(
  ask: (page: { readonly limit: number; readonly cursor?: string }) => Promise<{
    readonly items: readonly Item[]
    readonly next?: string | undefined
  }>,
): Promise<Item[]> {
  const all: Item[] = []
  for (let cursor: string | undefined; ; ) {
    const { items, next } = await ask({ limit: 1_000, ...(cursor === undefined ? {} : { cursor }) })
    all.push(...items)
    if (next === undefined || all.length >= SHOWN_MAX) return all
    cursor = next
  }
}
