import type { Effects } from '../../shared/effects.ts'

/** Silences in seconds that are tried, each on a connection of its own; at most 15, since a relay holds 16 for an agent. */
const RUNGS = [5, 10, 15, 20, 25, 30, 45, 60, 90, 120, 180, 240, 300, 600, 900] as const

/** What `--idle full` tries, in seconds. */
export const IDLE_FULL_SECONDS = 900

/** A quick look, in seconds. */
export const IDLE_QUICK_SECONDS = 10

/** How a silent connection came to its end. `refused`: the relay itself ended it, and said so. */
export type IdleEnd = 'reset' | 'closed' | 'refused'

/** One connection that is held without a word. */
export interface HeldConnection {
  /** Resolves when it ends before it is asked. */
  readonly ended: Promise<IdleEnd>
  /** Asks whether the other end is still there. @returns false where nothing comes back */
  ask(): Promise<boolean>
  /** Lets go of it. */
  close(): void
}

/** What became of one connection. */
export interface Rung {
  readonly seconds: number
  /** `silent`: the path had forgotten it without a word. `unknown`: given up, because a shorter silence was cut already. */
  readonly outcome: 'held' | 'silent' | 'unknown' | IdleEnd
  /** When it ended by itself, in ms after its last byte. */
  readonly endedMs?: number
}

/** What is known of the path after all. */
export interface IdleResult {
  readonly rungs: readonly Rung[]
  /** The longest silence in ms that the path bore for certain; 0 where there is none. */
  readonly heldMs: number
  /** Where it cuts: after more than `heldMs` and at most this, in ms, and how. */
  readonly cut?: { readonly ms: number; readonly how: 'silent' | 'reset' | 'closed' }
}

/** The silences to try up to `seconds`, which is the last of them. */
export function rungsUpTo(seconds: number): readonly number[] {
  return [...RUNGS.filter((rung) => rung < seconds), seconds]
}

export interface IdleOptions {
  readonly open: () => Promise<HeldConnection>
  readonly effects: Pick<Effects, 'now' | 'sleep'>
  readonly signal: AbortSignal
}

/**
 * Holds one connection for each silence, all at the same time, so that it takes as long as the longest; a cut ends the
 * measuring of every longer one.
 * @throws what `open` throws; the reason of the signal
 */
export async function measureIdle(rungs: readonly number[], options: IdleOptions): Promise<IdleResult> {
  const given = new AbortController()
  const giveUp = AbortSignal.any([options.signal, given.signal])
  const held: HeldConnection[] = []
  try {
    for (const _rung of rungs) held.push(await options.open())
    const results: Rung[] = await Promise.all(
      held.map(async (connection, index) => {
        const rung = await holdFor(rungs[index] as number, connection, { ...options, signal: giveUp })
        if (rung.outcome !== 'held') given.abort()
        return rung
      }),
    )
    options.signal.throwIfAborted()
    return conclude(results)
  } finally {
    for (const connection of held) connection.close()
  }
}

async function holdFor(
  seconds: number,
  connection: HeldConnection,
  { effects, signal }: IdleOptions,
): Promise<Rung> {
  const began = effects.now()
  const stop = new AbortController()
  const slept = effects
    .sleep(seconds * 1_000, AbortSignal.any([signal, stop.signal]))
    .then(() => 'slept' as const)
    .catch(() => 'unknown' as const)
  const first = await Promise.race([connection.ended, slept])
  stop.abort()
  if (first === 'unknown') return { seconds, outcome: first }
  if (first !== 'slept') return { seconds, outcome: first, endedMs: Math.round(effects.now() - began) }
  return { seconds, outcome: (await connection.ask()) ? 'held' : 'silent' }
}

/** What the outcomes say together: the shortest cut counts, and what was held below it. */
export function conclude(rungs: readonly Rung[]): IdleResult {
  const cuts = rungs.flatMap(({ seconds, outcome, endedMs }) =>
    outcome === 'silent' || outcome === 'reset' || outcome === 'closed'
      ? [{ ms: endedMs ?? seconds * 1_000, how: outcome }]
      : [],
  )
  const cut = cuts.sort((a, b) => a.ms - b.ms)[0]
  const below = cut?.ms ?? Number.POSITIVE_INFINITY
  const heldMs = Math.max(
    0,
    ...rungs
      .filter(({ outcome, seconds }) => outcome === 'held' && seconds * 1_000 < below)
      .map(({ seconds }) => seconds * 1_000),
  )
  return cut === undefined ? { rungs, heldMs } : { rungs, heldMs, cut }
}
