/** How long a test waits for something that must happen, in ms. */
export const PATIENCE_MS = 10_000

/** How often `eventually` looks, in ms. */
const LOOK_MS = 5

/** `promise`, or a failure that names what did not happen in time. */
export async function within<T>(promise: Promise<T>, what: string, ms = PATIENCE_MS): Promise<T> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error(`${what}: not within ${ms} ms`)), ms)
  try {
    return await Promise.race([promise, late.promise])
  } finally {
    clearTimeout(timer)
  }
}

/** Looks until `condition` holds; for what tells nobody when it changes. */
export async function eventually(
  condition: () => boolean | Promise<boolean>,
  what: string,
  ms = PATIENCE_MS,
): Promise<void> {
  const until = performance.now() + ms
  while (!(await condition())) {
    if (performance.now() > until) throw new Error(`${what}: not within ${ms} ms`)
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS))
  }
}
