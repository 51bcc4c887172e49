import { TunnelError } from '../errors.ts'
import { MAX_OFFSET } from './frame.ts'
import { move, SEND_MOVES, type SendState } from './stream-state.ts'
import { INITIAL_WINDOW, MAX_WINDOW, type WindowBudget } from './window.ts'

/** Most bytes a stream queues unsent, whatever its credit: beyond it the shell stops reading its source. */
export const MAX_UNSENT_BYTES = 262_144

/** What a stream takes from the process's budget at a time, when it has to keep more. */
const KEEP_STEP_BYTES = 262_144

interface Chunk {
  readonly bytes: Uint8Array
  /** Offset behind the last byte. */
  readonly end: number
  readonly release: (() => void) | undefined
}

export interface Piece {
  readonly offset: number
  readonly bytes: Uint8Array
  /** True where the stream ends behind `bytes`. */
  readonly fin: boolean
}

/**
 * One direction of a stream, seen from its sender. Bytes stay here until the receiver has consumed them, so they can be
 * sent again on another path (docs/protocol.md section 6). At most one receive window is kept.
 */
export class SendHalf {
  readonly #chunks: Chunk[] = []
  /** Index of the first chunk that is still kept. */
  #first = 0
  /** Index of the chunk that holds `#next`. */
  #current = 0
  /** Offset behind the last byte that was written here. */
  #end = 0
  /** Offset of the next byte to send. */
  #next = 0
  /** Highest offset that was ever sent. */
  #highest = 0
  /** Offset below which the receiver has consumed everything. */
  #consumed = 0
  /** Offset that must not be passed: the receiver's grant. */
  #limit: number
  #state: SendState = 'sending'
  #finSent = false
  readonly #budget: WindowBudget
  /** Bytes that may be kept: what every stream has, and what was taken from the budget. */
  #allowance = INITIAL_WINDOW

  constructor(initialCredit: number, budget: WindowBudget) {
    this.#limit = initialCredit
    this.#budget = budget
  }

  /** Bytes that may still be written before the stream should stop reading its source; may be negative. */
  get room(): number {
    // However much a reader grants that never says it has consumed anything, no more is kept for it than a window.
    const limit = Math.min(this.#limit, this.#consumed + this.#grownAllowance())
    return Math.min(limit - this.#end, MAX_UNSENT_BYTES - (this.#end - this.#next))
  }

  /**
   * What may be kept, after asking the budget for more where that is used up: windows that peers grant are a promise of
   * theirs, the memory is ours.
   */
  #grownAllowance(): number {
    while (
      this.keptBytes >= this.#allowance &&
      this.#allowance < MAX_WINDOW &&
      this.#budget.reserve(KEEP_STEP_BYTES)
    ) {
      this.#allowance += KEEP_STEP_BYTES
    }
    return this.#allowance
  }

  #giveBack(): void {
    this.#budget.free(this.#allowance - INITIAL_WINDOW)
    this.#allowance = INITIAL_WINDOW
  }

  /** Bytes kept until the receiver has consumed them, sent or not. */
  get keptBytes(): number {
    return this.#end - this.#consumed
  }

  get endOffset(): number {
    return this.#end
  }

  /** False once the stream ends here, or was cut. */
  get isSending(): boolean {
    return this.#state === 'sending'
  }

  /** True once the receiver has consumed everything to the end. */
  get isDone(): boolean {
    return this.#state === 'done'
  }

  /** Whether `take` would give something. */
  get isReady(): boolean {
    return (this.#next < this.#end && this.#next < this.#limit) || this.#isFinReady
  }

  get #isFinReady(): boolean {
    return !this.isSending && !this.#finSent && this.#next === this.#end
  }

  /**
   * Queues `bytes`. Their memory stays with the stream until `release` is called, once, when the receiver has consumed
   * them or the stream was dropped.
   */
  write(bytes: Uint8Array, release?: () => void): void {
    if (!this.isSending) throw new TunnelError('INTERNAL', 'written after the end')
    if (bytes.length === 0) {
      release?.()
      return
    }
    this.#end += bytes.length
    if (this.#end > MAX_OFFSET) throw new TunnelError('INTERNAL', 'a stream of more than 2^53 bytes')
    this.#chunks.push({ bytes, end: this.#end, release })
  }

  /** No more bytes will be written. */
  end(): void {
    if (this.isSending) this.#state = move(SEND_MOVES, this.#state, 'end')
  }

  /** The next piece to send, at most `max` bytes and within the receiver's grant; undefined where there is none. */
  take(max: number): Piece | undefined {
    const chunk = this.#chunks[this.#current]
    if (chunk === undefined) {
      if (!this.#isFinReady) return undefined
      this.#finSent = true
      return { offset: this.#next, bytes: NO_BYTES, fin: true }
    }
    const length = Math.min(max, chunk.end - this.#next, this.#limit - this.#next)
    if (length <= 0) return undefined
    const offset = this.#next
    const from = chunk.bytes.length - (chunk.end - offset)
    this.#next += length
    if (this.#next > this.#highest) this.#highest = this.#next
    if (this.#next === chunk.end) this.#current++
    const fin = this.#isFinReady
    if (fin) this.#finSent = true
    const whole = from === 0 && length === chunk.bytes.length
    return { offset, bytes: whole ? chunk.bytes : chunk.bytes.subarray(from, from + length), fin }
  }

  /**
   * Books a CREDIT of the receiver: absolute, so older ones and repetitions change nothing. `fin`: it has consumed all there is.
   * @throws {TunnelError} FLOW_CONTROL where it claims bytes that were never sent, PROTOCOL where the grant lies below
   */
  credit(maxOffset: number, consumed: number, fin = false): void {
    if (consumed > this.#highest)
      throw new TunnelError('FLOW_CONTROL', `${consumed} consumed, ${this.#highest} sent`)
    if (maxOffset < consumed) throw new TunnelError('PROTOCOL', 'a grant below what was consumed')
    if (maxOffset > this.#limit) this.#limit = maxOffset
    if (consumed > this.#consumed) this.#release(consumed)
    if (fin && this.#state === 'ended' && consumed === this.#end) {
      this.#state = move(SEND_MOVES, this.#state, 'acknowledge')
    }
  }

  /**
   * Goes back to `offset`: the receiver has everything before it and nothing behind it on any path. A CREDIT that overtook
   * the request may have told of more already.
   * @throws {TunnelError} PROTOCOL where those bytes were never sent
   */
  resume(offset: number): void {
    if (offset > this.#highest) {
      throw new TunnelError('PROTOCOL', `resume from ${offset}, sent ${this.#highest}`)
    }
    this.#next = Math.max(offset, this.#consumed)
    this.#finSent = false
    this.#current = this.#first
    while ((this.#chunks[this.#current]?.end ?? Number.POSITIVE_INFINITY) <= this.#next) this.#current++
  }

  /** Ends the stream behind what was sent: the receiver wants no more. */
  cut(): void {
    while (this.#chunks.length > this.#first) {
      const last = this.#chunks.at(-1) as Chunk
      const start = last.end - last.bytes.length
      if (last.end <= this.#highest) break
      this.#chunks.pop()
      if (Math.max(start, this.#consumed) < this.#highest) {
        // The part that was sent may be asked for again, so it keeps the memory of the whole.
        const bytes = last.bytes.subarray(0, this.#highest - start)
        this.#chunks.push({ bytes, end: this.#highest, release: last.release })
        break
      }
      last.release?.()
    }
    this.#end = this.#highest
    this.#current = Math.min(this.#current, this.#chunks.length)
    if (this.#next === this.#end) this.#current = this.#chunks.length
    this.end()
  }

  /** Gives every kept byte back; the half is of no use afterwards. */
  drop(): void {
    for (let index = this.#first; index < this.#chunks.length; index++) this.#chunks[index]?.release?.()
    this.#chunks.length = 0
    this.#first = 0
    this.#current = 0
    this.#next = this.#end
    this.#finSent = true
    this.#giveBack()
  }

  #release(consumed: number): void {
    this.#consumed = consumed
    if (this.#allowance > INITIAL_WINDOW && this.#end === consumed) this.#giveBack()
    // Bytes that a resume queued again may have arrived after all.
    if (this.#next < consumed) this.resume(consumed)
    for (let chunk = this.#chunks[this.#first]; chunk !== undefined && chunk.end <= consumed; ) {
      chunk.release?.()
      this.#first++
      chunk = this.#chunks[this.#first]
    }
    // Shifting the array on every credit would be quadratic; half empty is a fair time. An idle stream holds no memory.
    if (this.#first === this.#chunks.length || (this.#first > 64 && this.#first * 2 > this.#chunks.length)) {
      this.#chunks.splice(0, this.#first)
      this.#current -= this.#first
      this.#first = 0
    }
  }
}

const NO_BYTES = new Uint8Array(0)
