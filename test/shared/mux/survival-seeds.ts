import type { Ending } from './survival-script.ts'

interface Failure {
  readonly seed: number
  readonly ending: Ending
  readonly found: string
}

/** Runs of survival-script.ts that fail where what they found is undone. survival.test.ts replays them. */
export const FAILED_ONCE: readonly Failure[] = [
  {
    seed: 42,
    ending: 'survive',
    found: 'an end that waits for ever: the other closed before it had repeated its CREDIT',
  },
  { seed: 2_264, ending: 'survive', found: 'the same on another way' },
  {
    seed: 8,
    ending: 'survive',
    found: 'a writer without room: what was consumed was said on a lost path only',
  },
  { seed: 77, ending: 'survive', found: 'the same at the other end' },
  { seed: 43, ending: 'survive', found: 'DATA on a new path before the far end has said what it has' },
  { seed: 37, ending: 'survive', found: 'a CREDIT that fell due without a path and was never sent' },
  {
    seed: 68,
    ending: 'survive',
    found: 'a target dialled twice: the agent had forgotten a stream that ended badly',
  },
  { seed: 6, ending: 'survive', found: 'a target that refuses is no reason to go on searching' },
]
