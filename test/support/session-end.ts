import assert from 'node:assert/strict'
import type { TunnelError } from '../../shared/errors.ts'
import type { FurtherLink } from '../../shared/mux/further-link.ts'
import { Session } from '../../shared/mux/session.ts'
import type { GoAwayFrame, OpenFrame } from '../../shared/mux/session-handler.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import { createWindowBudget } from '../../shared/mux/window.ts'
import type { FakeEffects } from './fake-effects.ts'
import { LinkShell } from './link-shell.ts'
import type { Wire } from './lossy-wire.ts'
import { type Ledger, StreamProbe } from './stream-probe.ts'

const BUDGET_BYTES = 64 * 1_048_576

export interface EndOptions {
  readonly role: 'relay' | 'peer'
  readonly effects: FakeEffects
  readonly out: Wire
  readonly ledger: Ledger
  readonly pingIntervalMs?: number
  readonly firstId?: number
  /** What the streams of this end may hold beyond 256 KiB each; 64 MiB by default. */
  readonly budgetBytes?: number
  /** What becomes of an OPEN of the peer; without it a probe is put there and accepts at once. */
  readonly opening?: (end: SessionEnd, frame: OpenFrame) => void
}

/** The shell of one session in a test: what SessionSocket is to a real one, over wires in virtual time. */
export class SessionEnd extends LinkShell {
  readonly session: Session
  readonly budget: ReturnType<typeof createWindowBudget>
  readonly ledger: Ledger
  /** Shells of the further links, the living and the dead. */
  readonly further: LinkShell[] = []
  /** How many links the session said that it wants, each time. */
  readonly wanted: number[] = []
  /** Probes of the streams that the peer opened, in order. */
  readonly accepted: StreamProbe[] = []
  readonly goAways: GoAwayFrame[] = []
  readonly notices: Uint8Array[] = []
  greetings = 0
  readonly #effects: FakeEffects
  readonly #opening: (end: SessionEnd, frame: OpenFrame) => void

  constructor(options: EndOptions) {
    super({ effects: options.effects, out: options.out, end: () => this.session })
    this.#effects = options.effects
    this.ledger = options.ledger
    this.budget = createWindowBudget(options.budgetBytes ?? BUDGET_BYTES)
    this.#opening = options.opening ?? ((end, frame) => end.admit(frame).accept(Uint8Array.of(0xa0), end.now))
    this.session = new Session({
      role: options.role,
      budget: this.budget,
      pingIntervalMs: options.pingIntervalMs ?? 20_000,
      now: this.now,
      ...(options.firstId === undefined ? {} : { firstId: options.firstId }),
      handler: {
        greeted: (type) => {
          this.greetings++
          if (type === 'HELLO') this.session.greet('HELLO_OK', Uint8Array.of(0xa0))
        },
        opening: (frame) => this.#opening(this, frame),
        goAway: (frame) => this.goAways.push(frame),
        notice: (meta) => this.notices.push(meta.slice()),
        links: (wanted) => this.wanted.push(wanted),
        wake: () => this.wake(),
      },
    })
    this.arm()
  }

  get now(): number {
    return this.#effects.now()
  }

  /** Opens a stream whose bytes are the pattern `seed`; those of the far end are `seed + 1`. */
  open(seed = 0, metaBytes = 1): StreamProbe {
    const probe = new StreamProbe({ expects: seed + 1, writes: seed, ledger: this.ledger })
    probe.stream = this.session.open(new Uint8Array(metaBytes).fill(seed), probe)
    return probe
  }

  /** Puts a probe behind an OPEN; the first byte of its meta is the seed of the opener. */
  admit(frame: OpenFrame): Stream {
    const seed = frame.meta[0] ?? 0
    const probe = new StreamProbe({ expects: seed, writes: seed + 1, ledger: this.ledger })
    probe.stream = this.session.admit(frame, probe)
    this.accepted.push(probe)
    return probe.stream
  }

  /** The probe of the stream that the peer opened as number `index`. */
  peer(index = 0): StreamProbe {
    const probe = this.accepted[index]
    assert.ok(probe !== undefined, `stream ${index} was not opened`)
    return probe
  }

  /** Adds a link that sends over `out`. */
  join(out: Wire): LinkShell {
    const shell: LinkShell = new LinkShell({ effects: this.#effects, out, end: () => link })
    const link: FurtherLink = this.session.join(
      { wake: () => shell.wake(), close: (error: TunnelError) => shell.fail(error) },
      this.now,
    )
    this.further.push(shell)
    shell.arm()
    return shell
  }
}
