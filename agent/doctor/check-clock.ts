import { CLOCK_SKEW_MAX_MS } from '../path-watch.ts'
import { ask, connectAgain } from './ask.ts'
import type { PathContext } from './context.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** Beyond this in ms certificates made in the same hour do not hold at the other end. */
const BROKEN_MS = 86_400_000

const REMEDY =
  'the site administrator: set the right time on whichever clock is wrong, such as: timedatectl set-ntp true'

/** Both clocks at one moment. */
export interface ClockEvidence {
  /** This machine's, in ms since 1970, when the answer came. */
  readonly ours: number
  /** The Date header; it has whole seconds and was written up to `roundTripMs` before. */
  readonly date: string | undefined
  readonly roundTripMs: number
}

/** Asks for the time of day at the relay. */
export async function checkClock(context: PathContext): Promise<readonly Finding[]> {
  const socket = await connectAgain(context)
  const { headers, at, ms } = await ask(context, socket, '/healthz')
  socket.destroy()
  return readClock({
    ours: at,
    date: typeof headers.date === 'string' ? headers.date : undefined,
    roundTripMs: ms,
  })
}

/** What the two clocks mean. Both are named, since nobody can know from here which one is wrong. */
export function readClock({ ours, date, roundTripMs }: ClockEvidence): readonly Finding[] {
  const relays = Date.parse(date ?? '')
  if (Number.isNaN(relays)) {
    return [
      warn(
        'CLOCK',
        'the answer of the relay does not say what time it is there',
        'the network team: what takes the Date header out of answers?',
      ),
    ]
  }
  // The header was cut to the second, and written half a round trip ago.
  const skewMs = Math.round(relays + 500 - (ours - roundTripMs / 2))
  const evidence = { clock: iso(ours), relayClock: iso(relays), skewMs }
  const both = `here it is ${iso(ours)}, at the relay ${iso(relays)}`
  const size = Math.abs(skewMs)
  if (size >= BROKEN_MS)
    return [fail('CLOCK', `the clocks are ${span(size)} apart: ${both}`, REMEDY, evidence)]
  if (size > CLOCK_SKEW_MAX_MS)
    return [warn('CLOCK', `the clocks are ${span(size)} apart: ${both}`, REMEDY, evidence)]
  return [ok(size <= 2_000 ? 'both clocks agree' : `the clocks are ${span(size)} apart`, evidence)]
}

function iso(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d{3}Z$/, 'Z')
}

/** A duration for people, in its largest unit. */
function span(ms: number): string {
  if (ms >= 2 * 86_400_000) return `${Math.round(ms / 86_400_000)} days`
  if (ms >= 2 * 3_600_000) return `${Math.round(ms / 3_600_000)} hours`
  if (ms >= 2 * 60_000) return `${Math.round(ms / 60_000)} minutes`
  return `${Math.round(ms / 1_000)} seconds`
}
