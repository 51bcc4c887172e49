import { describe, test } from 'node:test'
import fc from 'fast-check'
import { checkInput, keptInputs } from './target.ts'
import { TARGETS } from './targets/all.ts'

/**
 * S20: the short part. Bytes from a peer that may be anything, to each reader of them. No crash, nothing but typed errors,
 * nothing that takes a second. Bytes that once did otherwise are kept in seeds/ as hexadecimal and run first.
 * FUZZ_RUNS=100000 looks longer; test/fuzz/minutes.ts looks as long as it is told.
 */

const RUNS = Number(process.env.FUZZ_RUNS ?? 500)

for (const target of TARGETS) {
  describe(target.name, () => {
    for (const [name, bytes] of keptInputs(target)) {
      test(`reads or refuses seeds/${target.name}/${name}`, () => checkInput(target, bytes))
    }

    test('reads or refuses what is right, damaged or noise', async () => {
      await fc.assert(
        fc.asyncProperty(target.inputs, (bytes) => checkInput(target, bytes)),
        { numRuns: RUNS },
      )
    })
  })
}
