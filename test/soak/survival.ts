import { runSurvival } from '../shared/mux/survival-script.ts'

/**
 * node test/soak/survival.ts [SEEDS] [FIRST]: so many lives of streams (10,000 by default) under cuts, replacements and
 * kills, in virtual time. Prints each seed that fails with the reason; put it into test/shared/mux/survival-seeds.ts, where
 * `npm test` replays it. Exit status 1 where one failed.
 */

/** How often it says that it still runs, in seeds. */
const NOTE_EVERY = 1_000

const [seeds = 10_000, first = 1] = process.argv.slice(2).map(Number)
if (!(seeds > 0) || !(first >= 0)) throw new Error('how many seeds, and from which on?')
let failed = 0
for (let seed = first; seed < first + seeds; seed++) {
  for (const ending of ['survive', 'grace'] as const) {
    try {
      runSurvival(seed, ending)
    } catch (error) {
      failed++
      process.exitCode = 1
      process.stdout.write(
        `seed ${seed} ${ending}: ${String((error as Error).stack ?? error).slice(0, 600)}\n`,
      )
    }
  }
  if ((seed - first + 1) % NOTE_EVERY === 0)
    process.stdout.write(`${seed - first + 1} seeds, ${failed} failed\n`)
}
process.stdout.write(`${seeds} seeds from ${first}, ${failed} failed\n`)
