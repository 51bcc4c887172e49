import assert from 'node:assert/strict'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { DATA_HEAD_BYTES, writeDataHead } from '../../shared/mux/encode.ts'
import type { FrameSink } from '../../shared/mux/link.ts'
import type { Piece } from '../../shared/mux/scheduler.ts'
import { Session } from '../../shared/mux/session.ts'
import type { GoAwayFrame, OpenFrame } from '../../shared/mux/session-handler.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import { createWindowBudget } from '../../shared/mux/window.ts'
import type { FakeEffects } from './fake-effects.ts'
import type { Wire } from './lossy-wire.ts'
import { type Ledger, StreamProbe } from './stream-probe.ts'

/** Bytes a shell gives to its socket beyond what left already. */
const OUTSTANDING_BYTES = 65_536

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
export class SessionEnd implements FrameSink {
  readonly session: Session
  readonly budget: ReturnType<typeof createWindowBudget>
  readonly out: Wire
  readonly ledger: Ledger
  /** Probes of the streams that the peer opened, in order. */
  readonly accepted: StreamProbe[] = []
  readonly goAways: GoAwayFrame[] = []
  readonly notices: Uint8Array[] = []
  greetings = 0
  /** What ended the session, seen from here. */
  error: TunnelError | undefined
  readonly #effects: FakeEffects
  readonly #opening: (end: SessionEnd, frame: OpenFrame) => void
  #parts: Uint8Array[] = []
  #isScheduled = false
  #cancelTimer: () => void = () => {}

  constructor(options: EndOptions) {
    this.#effects = options.effects
    this.out = options.out
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
        wake: () => this.#wake(),
      },
    })
    this.#arm()
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

  /** Takes bytes from the wire. */
  chunk(bytes: Uint8Array): void {
    this.#guard(() => this.session.receive(bytes, this.now))
  }

  messageEnd(): void {
    this.#guard(() => this.session.endMessage())
  }

  closed(): void {
    this.fail(new TunnelError('SESSION_LOST', 'the connection closed'))
  }

  /** Ends the session from here. */
  fail(error: TunnelError): void {
    if (this.error !== undefined) return
    this.error = error
    this.#cancelTimer()
    this.session.close(error)
    this.out.close()
  }

  control(bytes: Uint8Array): void {
    this.#parts.push(bytes)
  }

  data(piece: Piece): void {
    const head = new Uint8Array(DATA_HEAD_BYTES)
    writeDataHead(head, 0, {
      id: piece.id,
      flags: piece.flags,
      offset: piece.offset,
      length: piece.bytes.length,
    })
    this.#parts.push(head, piece.bytes)
  }

  readonly flush = (): void => {
    this.#isScheduled = false
    this.#guard(() => {
      for (;;) {
        const room = OUTSTANDING_BYTES - this.out.outstanding
        if (room <= 0 || !this.session.hasWork) return
        this.session.transmit(room, this.now, this)
        if (this.#parts.length === 0) return
        // Copied here, as a socket does: the memory of a stream may be used again once it is released.
        this.out.send(Uint8Array.from(Buffer.concat(this.#parts)))
        this.#parts = []
      }
    })
  }

  #wake(): void {
    if (this.#isScheduled || this.error !== undefined) return
    this.#isScheduled = true
    this.#effects.after(0, this.flush)
  }

  /** A TunnelError ends the session; anything else is a bug, and the test fails. */
  #guard(act: () => void): void {
    if (this.error !== undefined) return
    try {
      act()
    } catch (error) {
      if (!isTunnelError(error)) throw error
      this.fail(error)
      return
    }
    this.#arm()
  }

  #arm(): void {
    this.#cancelTimer()
    if (this.session.isClosed) return
    // At least 1 ms, as timers have it: a deadline that rounding left a trifle ahead would be waited for without end.
    const wait = Math.max(1, this.session.deadline - this.now)
    this.#cancelTimer = this.#effects.after(wait, () => this.#guard(() => this.session.tick(this.now)))
  }
}
