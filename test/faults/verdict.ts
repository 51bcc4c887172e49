import assert from 'node:assert/strict'

/** Prints a line of a script's report. */
export function say(text: string): void {
  process.stdout.write(`    ${text}\n`)
}

/**
 * Says of each figure whether it is within its limit.
 * @throws {AssertionError} where one is not
 */
export function judge(found: Readonly<Record<string, readonly [figure: number, limit: number]>>): void {
  const missed: string[] = []
  for (const [what, [figure, limit]] of Object.entries(found)) {
    const holds = figure <= limit
    if (!holds) missed.push(what)
    say(`${holds ? 'holds' : 'MISSED'}: ${what}: ${figure.toFixed(2)}, at most ${limit}`)
  }
  assert.deepEqual(missed, [], 'beyond their limits')
}
