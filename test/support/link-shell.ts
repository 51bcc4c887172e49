import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { DATA_HEAD_BYTES, writeDataHead } from '../../shared/mux/encode.ts'
import type { FrameSink } from '../../shared/mux/link.ts'
import type { Piece } from '../../shared/mux/scheduler.ts'
import type { LinkEnd } from '../../shared/tunnel/session-socket.ts'
import type { FakeEffects } from './fake-effects.ts'
import type { Wire, WireReceiver } from './lossy-wire.ts'

/** Bytes a shell gives to its socket beyond what left already. */
const OUTSTANDING_BYTES = 65_536

/** The shell of one link in a test: what SessionSocket is to a real one, over a wire in virtual time. */
export class LinkShell implements FrameSink, WireReceiver {
  readonly out: Wire
  /** What ended the link, seen from here. */
  error: TunnelError | undefined
  readonly #effects: FakeEffects
  readonly #end: () => LinkEnd
  #parts: Uint8Array[] = []
  #isScheduled = false
  #cancelTimer: () => void = () => {}

  /** `end`: what runs over the wire. */
  constructor(options: { effects: FakeEffects; out: Wire; end: () => LinkEnd }) {
    this.#effects = options.effects
    this.out = options.out
    this.#end = options.end
  }

  /** Takes bytes from the wire. */
  chunk(bytes: Uint8Array): void {
    this.#guard(() => this.#end().receive(bytes, this.#effects.now()))
    // The memory is read into again, as that of a socket is.
    bytes.fill(0xa5)
  }

  messageEnd(): void {
    this.#guard(() => this.#end().endMessage())
  }

  closed(): void {
    this.fail(new TunnelError('SESSION_LOST', 'the connection closed'))
  }

  /** Ends the link from here. */
  fail(error: TunnelError): void {
    if (this.error !== undefined) return
    this.error = error
    this.#cancelTimer()
    this.#end().close(error)
    this.out.close()
  }

  control(bytes: Uint8Array): void {
    this.#parts.push(bytes)
  }

  data(piece: Piece): void {
    const head = new Uint8Array(DATA_HEAD_BYTES)
    const { id, flags, offset, bytes } = piece
    writeDataHead(head, 0, { id, flags, offset, length: bytes.length })
    this.#parts.push(head, new Uint8Array(bytes))
  }

  readonly flush = (): void => {
    this.#isScheduled = false
    this.#guard(() => {
      for (;;) {
        const room = OUTSTANDING_BYTES - this.out.outstanding
        if (room <= 0 || !this.#end().hasWork) return
        this.#end().transmit(room, this.#effects.now(), this)
        if (this.#parts.length === 0) return
        this.out.send(Uint8Array.from(Buffer.concat(this.#parts)))
        this.#parts = []
      }
    })
  }

  wake(): void {
    if (this.#isScheduled || this.error !== undefined) return
    this.#isScheduled = true
    this.#effects.after(0, this.flush)
  }

  /** Waits for the next deadline. */
  arm(): void {
    this.#cancelTimer()
    if (this.error !== undefined) return
    const now = this.#effects.now()
    // At least 1 ms, as timers have it: a deadline that rounding left a trifle ahead would be waited for without end.
    const wait = Math.max(1, this.#end().deadline - now)
    this.#cancelTimer = this.#effects.after(wait, () =>
      this.#guard(() => this.#end().tick(this.#effects.now())),
    )
  }

  /** A TunnelError ends the link; anything else is a bug, and the test fails. */
  #guard(act: () => void): void {
    if (this.error !== undefined) return
    try {
      act()
    } catch (error) {
      if (!isTunnelError(error)) throw error
      this.fail(error)
      return
    }
    this.arm()
  }
}
