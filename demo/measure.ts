import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'

/** Something to ask again and again over one connection, which the first time opens. */
export interface Question extends AsyncDisposable {
  /**
   * Asks, looks at every byte of the answer, and says in a few words what came.
   * @throws {TunnelError} INTERNAL where it is not what it must be
   */
  ask(): Promise<string>
}

/** A question that came back right each time. */
export interface Check {
  /** For a person: what was asked. */
  readonly question: string
  /** For a person: what came back. */
  readonly answer: string
  /** The first time, connection and stream included, in ms. */
  readonly firstMs: number
  /** Medians of {@link REPEATS} more on the same connection, in ms; undefined where they were not asked for. */
  readonly again?: { readonly tunnelMs: number; readonly directMs: number }
}

/** How often a question is asked again. */
export const REPEATS = 20

/**
 * Asks through the tunnel once.
 * @throws what the question throws
 */
export async function askOnce(question: string, tunnel: Question): Promise<Check> {
  await using asked = tunnel
  const [answer, firstMs] = await timed(asked)
  return { question, answer, firstMs }
}

/**
 * Asks through the tunnel and, to compare, past it, again and again.
 * @throws what the question throws; INTERNAL where the two answers differ
 */
export async function askAgain(question: string, tunnel: Question, direct: Question): Promise<Check> {
  await using through = tunnel
  await using past = direct
  const [answer, firstMs] = await timed(through)
  const [expected] = await timed(past)
  if (answer !== expected) throw wrong(question, answer, expected)
  const again = { tunnelMs: await medianOf(through), directMs: await medianOf(past) }
  return { question, answer, firstMs, again }
}

/** What to throw where an answer is not what it must be. */
export function wrong(question: string, got: string, expected: string): TunnelError {
  return new TunnelError('INTERNAL', `${question} came back wrong: ${got} instead of ${expected}.`)
}

async function medianOf(question: Question): Promise<number> {
  const times: number[] = []
  for (let count = 0; count < REPEATS; count++) times.push((await timed(question))[1])
  times.sort((a, b) => a - b)
  const [low = 0, high = 0] = times.slice(REPEATS / 2 - 1)
  return (low + high) / 2
}

async function timed(question: Question): Promise<[answer: string, ms: number]> {
  const began = realEffects.now()
  return [await question.ask(), realEffects.now() - began]
}
