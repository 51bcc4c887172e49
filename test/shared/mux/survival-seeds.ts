import type { Ending } from './survival-script.ts'

/** Runs of survival-script.ts that failed once, and what they found. They are replayed by survival.test.ts. */
export const FAILED_ONCE: readonly {
  readonly seed: number
  readonly ending: Ending
  readonly found: string
}[] = [
  {
    seed: 1001,
    ending: 'survive',
    found: 'a route is left: its second end closed before it had repeated its last CREDIT',
  },
  {
    seed: 84,
    ending: 'survive',
    found: 'an acceptor is left on a path that lives: the last CREDIT was not repeated',
  },
  { seed: 137, ending: 'survive', found: 'the same' },
  {
    seed: 15,
    ending: 'survive',
    found: 'a stream stands still: the grant of the OPEN that found its agent was not taken',
  },
  { seed: 131, ending: 'survive', found: 'DATA on a new path before the far end has said what it has' },
  {
    seed: 32,
    ending: 'survive',
    found: 'a target dialled twice: the agent forgot a stream that had ended badly',
  },
  { seed: 2, ending: 'survive', found: 'a target that refuses is no reason to go on searching' },
]
