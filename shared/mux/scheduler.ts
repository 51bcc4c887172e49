import type { Activity } from './activity.ts'
import { Attention } from './attention.ts'
import { MAX_DATA_BYTES } from './frame.ts'
import { Ring } from './ring.ts'

/** Bytes a source may send in one turn: one full frame, so that no turn ends in a splinter. */
const QUANTUM = MAX_DATA_BYTES

/** The same for a bulk source while nobody waits for an answer: what comes in one piece is written in one. */
const BULK_QUANTUM = 4 * MAX_DATA_BYTES

/** How many quanta a fresh source gets for each quantum of a bulk one. */
const FRESH_QUANTA = 4

/** A piece of a fresh source up to this size is a request or an answer that somebody waits for. */
const SMALL_BYTES = 4_096

/** How long after such a piece the first link is kept free for more of them, in ms: what others carry costs nobody. */
const KEPT_FREE_MS = 2_000

/** One DATA frame to be: `bytes` stays the source's; `flags` of docs/protocol.md section 3. */
export interface Piece {
  /** Memory that goes back to where it came from (piece-memory.ts) once the piece was passed on. */
  readonly spent?: Uint8Array | undefined
  readonly id: number
  readonly flags: number
  readonly offset: number
  readonly bytes: Uint8Array
}

/** Something with data for a link: a stream of this endpoint, or one that the relay passes on. */
export interface DataSource {
  readonly activity: Activity
  /** Kept by the scheduler: whether the source stands in one of its queues. */
  isQueued: boolean
  readonly isReady: boolean
  /** True once DATA of the source may overtake every other frame (docs/protocol.md section 6.6). */
  readonly mayStripe: boolean
  /** The next piece of at most `max` bytes; undefined where there is none. */
  next(max: number, now: number): Piece | undefined
  /** The source's turn is over, and some of it was sent. */
  sent(): void
}

/** Whether somebody waits for this piece: a transfer that is slow has the next one ready. */
function isSmall(source: DataSource, { bytes }: Piece, now: number): boolean {
  return bytes.length <= SMALL_BYTES && !source.isReady && source.activity.isLight(now)
}

/** Whether it has to use the first link, or is small. */
function isTied({ mayStripe, activity }: DataSource, now: number): boolean {
  return !mayStripe || activity.isLight(now)
}

/**
 * The order in which sources share a link: deficit round robin in two classes (docs/protocol.md section 7). Fresh
 * sources get four quanta for each one that bulk sources get, so a small request overtakes any number of downloads.
 */
export class Scheduler {
  readonly #fresh = new Ring<DataSource>()
  readonly #bulk = new Ring<DataSource>()
  #current: DataSource | undefined
  #allowance = 0
  #sentThisTurn = false
  /** Fresh quanta served since the last bulk quantum. */
  #freshTurns = 0

  #smallAt = Number.NEGATIVE_INFINITY
  /** There are further links, on which bulk sources find room. */
  hasFurtherLinks = false
  /** What all sessions with this peer know of small requests and answers. */
  attention = new Attention()
  readonly #rttMs: () => number

  /** `rttMs`: the round trip to the peer, Infinity while it is not known. */
  constructor(rttMs: () => number) {
    this.#rttMs = rttMs
  }

  /** True while small requests or answers go the same way: what is in flight before them is what they wait for. */
  isShared(now: number): boolean {
    return this.attention.isShared(now)
  }

  /** Whether any source may have something. */
  get isEmpty(): boolean {
    return this.#current === undefined && this.#fresh.length === 0 && this.#bulk.length === 0
  }

  /** Puts `source` in line unless it stands there already. */
  add(source: DataSource, now: number): void {
    if (source.isQueued) return
    source.isQueued = true
    this.#enqueue(source, now)
  }

  /** Takes `source` out of line. */
  remove(source: DataSource): void {
    source.isQueued = false
    if (this.#current === source) this.#current = undefined
    this.#fresh.remove(source)
    this.#bulk.remove(source)
  }

  /** The next piece in the order of the classes; undefined where no source has one. */
  next(maxBytes: number, now: number): Piece | undefined {
    for (;;) {
      const source = this.#current ?? this.#pick(now)
      if (source === undefined) return undefined
      const piece = source.next(Math.min(maxBytes, this.#allowance), now)
      if (piece !== undefined) {
        this.#allowance -= piece.bytes.length
        this.#sentThisTurn = true
        if (isSmall(source, piece, now)) this.#noteSmall(now)
        source.activity.add(piece.bytes.length, now)
        if (this.#allowance <= 0) this.#endTurn(source, now)
        return piece
      }
      this.#endTurn(source, now)
    }
  }

  #noteSmall(now: number): void {
    this.#smallAt = now
    this.attention.note(now, this.#rttMs())
  }

  /** The next piece of a source that may be striped, for a link that carries nothing else. */
  nextStriped(maxBytes: number, now: number): Piece | undefined {
    for (;;) {
      const source = this.#takeStriped()
      if (source === undefined) return undefined
      const piece = source.next(maxBytes, now)
      if (piece !== undefined) source.activity.add(piece.bytes.length, now)
      if (source.isReady) this.#enqueue(source, now)
      else source.isQueued = false
      if (piece === undefined) continue
      source.sent()
      return piece
    }
  }

  #takeStriped(): DataSource | undefined {
    const current = this.#current
    if (current?.mayStripe === true) {
      // Its turn on the first link ends here.
      this.#current = undefined
      return current
    }
    for (const ring of [this.#bulk, this.#fresh]) {
      const source = ring.take((candidate) => candidate.mayStripe)
      if (source !== undefined) return source
    }
    return undefined
  }

  #pick(now: number): DataSource | undefined {
    if (this.#freshTurns < FRESH_QUANTA) {
      return this.#pickFrom(this.#fresh, now) ?? this.#pickFrom(this.#bulk, now)
    }
    return this.#pickFrom(this.#bulk, now) ?? this.#pickFrom(this.#fresh, now)
  }

  /**
   * Where further links share the work, small answers have the first one to themselves, beside what has to use it: where a
   * path loses packets, every other byte there makes them wait until it was sent again.
   */
  #pickFrom(line: Ring<DataSource>, now: number): DataSource | undefined {
    const isKeptFree = this.hasFurtherLinks && now - this.#smallAt < KEPT_FREE_MS
    const source = isKeptFree ? line.take((one) => isTied(one, now)) : line.shift()
    if (source === undefined) return undefined
    const isFresh = line === this.#fresh
    this.#freshTurns = isFresh ? this.#freshTurns + 1 : 0
    this.#current = source
    this.#allowance = isFresh || this.isShared(now) ? QUANTUM : BULK_QUANTUM
    this.#sentThisTurn = false
    return source
  }

  #endTurn(source: DataSource, now: number): void {
    this.#current = undefined
    if (source.isReady) this.#enqueue(source, now)
    else source.isQueued = false
    if (this.#sentThisTurn) source.sent()
  }

  #enqueue(source: DataSource, now: number): void {
    if (source.activity.isFresh(now)) this.#fresh.push(source)
    else this.#bulk.push(source)
  }
}
