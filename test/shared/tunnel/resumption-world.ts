import type { ErrorCode } from '../../../shared/errors.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { decodeOpenMeta, encodeOpenOkMeta, type OpenMeta } from '../../../shared/handshake/open.ts'
import { encodeControl } from '../../../shared/mux/encode.ts'
import { type OpeningPath, Resumption, type ResumptionOptions } from '../../../shared/tunnel/resumption.ts'
import type { SessionEnd } from '../../support/session-end.ts'
import { createPair } from '../../support/session-pair.ts'
import { StreamProbe } from '../../support/stream-probe.ts'

/** What the far end does with an OPEN: accepts it, leaves it without an answer, or refuses it. */
type Answer = 'keep' | 'mortal' | 'nothing' | ErrorCode

interface Seen {
  readonly at: number
  readonly flags: number
  readonly id: number
  readonly meta: OpenMeta
}

/** A Resumption over one session whose far end does what `answer` says. */
export function createResumption(options: Partial<ResumptionOptions<string>> = {}) {
  const opens: Seen[] = []
  let answer: Answer = 'keep'
  let down: TunnelError | undefined
  let known: Omit<OpeningPath, 'session'> = {}
  const pair = createPair({
    opening: (end: SessionEnd, frame) => {
      const meta = decodeOpenMeta(frame.meta)
      opens.push({ at: end.now, flags: frame.flags, id: frame.id, meta })
      if (answer === 'nothing') end.admit(frame)
      else if (answer === 'keep' || answer === 'mortal') {
        const resumable = answer === 'keep'
        end.admit(frame).accept(encodeOpenOkMeta({ dialMs: 1, agent: 'agent-7', resumable }), end.now)
        end.session.control(encodeControl({ type: 'RESUME', id: frame.id, received: 0 }))
      } else throw new TunnelError(answer)
    },
  })
  const asked: (string | undefined)[] = []
  const resumption = new Resumption<string>({
    effects: pair.effects,
    path: (_context, agent): OpeningPath => {
      asked.push(agent)
      if (down !== undefined) throw down
      return { session: pair.peer.session, ...known }
    },
    ...options,
  })
  return {
    pair,
    opens,
    asked,
    resumption,
    now: () => pair.effects.now(),
    set answer(value: Answer) {
      answer = value
    },
    /** What is known beforehand of where an OPEN goes. */
    set known(value: Omit<OpeningPath, 'session'>) {
      known = value
    },
    set down(error: TunnelError | undefined) {
      down = error
    },
    open(context = 'a'): StreamProbe {
      const probe = new StreamProbe({ expects: 1, writes: 0, ledger: pair.ledger })
      probe.stream = resumption.open(context, { resource: 'berlin/db', protocol: 'tcp' }, probe)
      pair.run(1)
      return probe
    },
    /** The relay says where the OPEN of `probe` went. */
    route(probe: StreamProbe, agent: string): void {
      pair.relay.session.control(encodeControl({ type: 'ROUTED', id: probe.live.id, agent }))
      pair.run(0)
    },
    /** The relay says that the path of `probe` is over. */
    lose(probe: StreamProbe): void {
      pair.relay.session.control(encodeControl({ type: 'PATH_LOST', id: probe.live.id, fin: true }))
      pair.run(0)
    },
  }
}
