import { describe, test } from 'node:test'
import { runSurvival } from './survival-script.ts'
import { FAILED_ONCE } from './survival-seeds.ts'

/** test/soak/survival.ts runs as many as one likes. */
const SEEDS = 250

describe('streams whose sessions are cut, replaced and killed at any instant', () => {
  test(`deliver every byte once and in order, end cleanly and leave nothing (${SEEDS} seeds)`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) named(seed, () => runSurvival(seed))
  })

  test(`end by SESSION_LOST after the grace time where nothing comes back, and leave nothing (${SEEDS} seeds)`, () => {
    for (let seed = 1; seed <= SEEDS; seed++) named(seed, () => runSurvival(seed, 'grace'))
  })

  for (const { seed, ending, found } of FAILED_ONCE) {
    test(`seed ${seed} (${ending}), which failed once: ${found}`, () => runSurvival(seed, ending))
  }
})

function named(seed: number, run: () => void): void {
  try {
    run()
  } catch (error) {
    throw new Error(`seed ${seed}`, { cause: error })
  }
}
