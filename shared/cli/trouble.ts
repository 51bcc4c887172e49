import { type ErrorCode, errorEntry, type Leg } from '../errors.ts'
import { legText } from './failure.ts'

/** One thing that is broken, or wants attention, as the status of a relay or an agent shows it. */
export interface Trouble {
  readonly state: 'failing' | 'warn'
  readonly leg: Leg
  /** What is concerned: `SITE/RESOURCE`, a site, a relay. */
  readonly what: string
  /** With `failing`: why. */
  readonly code?: ErrorCode | undefined
  /** Milliseconds since 1970 since which it is so, where that is known. */
  readonly since?: number | undefined
  /** What is special here; may be empty. */
  readonly text?: string | undefined
  /** What to type next, where it is not what the catalogue says of the code. */
  readonly next?: string | undefined
}

/** Most troubles that a person is shown at once. */
const MAX_SHOWN = 30

/**
 * The lines for a person: what is broken first, each with its leg, its cause and what to do next.
 * @param leftOut how many more there are
 */
export function troubleLines(troubles: readonly Trouble[], leftOut = 0): string[] {
  const isFailing = ({ state }: Trouble) => state === 'failing'
  const sorted = [...troubles.filter(isFailing), ...troubles.filter((trouble) => !isFailing(trouble))]
  const lines = sorted.slice(0, MAX_SHOWN).flatMap(linesOf)
  const left = Math.max(0, sorted.length - MAX_SHOWN) + leftOut
  return left > 0 ? [...lines, `... and ${left} more`] : lines
}

function linesOf({ state, leg, what, code, since, text = '', next }: Trouble): string[] {
  const when = since === undefined ? '' : `, since ${new Date(since).toISOString()}`
  const word = state === 'failing' ? 'BROKEN' : 'WARNING'
  const entry = code === undefined ? undefined : errorEntry(code)
  const cause = entry === undefined ? text : `${code}: ${entry.text} ${text}`.trimEnd()
  const remedy = next ?? entry?.next ?? ''
  return [
    `${word.padEnd(9)}  ${what}: ${legText(leg)}${when}`,
    ...(cause === '' ? [] : [`           ${cause}`]),
    ...(remedy === '' ? [] : [`           next  ${remedy}`]),
  ]
}
