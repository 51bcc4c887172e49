/** Links of one session at most, the first among them (docs/protocol.md section 6.6). */
export const MAX_LINKS = 16

/** How many times more links are asked for at a time. One by one would take as long as most transfers. */
const GROWTH = 4

/** Time between two looks while data waits, in ms. */
const LOOK_MS = 250

/** Looks over which the rate before is taken. */
const BEFORE_LOOKS = 4

/** Looks that further links get to join, and then to find their pace. */
const JOIN_LOOKS = 12
const SETTLE_LOOKS = 2

/** Looks after which more links may have shown their worth, and after which they must have. */
const JUDGED_LOOKS = 2
const PATIENT_LOOKS = 8

/** More links are kept where they raised the rate at least so many times. */
const KEPT_RISE = 1.2

/** So many stalls, of which each look forgets a part, are a path that loses packets. */
const MANY_STALLS = 2
const REMEMBERED = 0.85

/** After a try that helped nothing, in ms; twice as long each time, up to the second. */
const RETRY_MS = 15_000
const MAX_RETRY_MS = 480_000

/** Without waiting data for so long in ms, one link is enough. */
const IDLE_MS = 10_000

/** What a session did since its begin. */
export interface LinkCounts {
  /** DATA bytes acknowledged on all its links. */
  readonly acknowledged: number
  /** Pauses of the acknowledgements: see InFlight.stalls. */
  readonly stalls: number
  /** Links there are now. */
  readonly links: number
}

/** `rest`: the number is right. `joining`, `settling`, `measuring`: more were asked for, and have to prove their worth. */
type Phase = 'rest' | 'joining' | 'settling' | 'measuring'

/** Decides how many links a session should have for what it sends (docs/decisions/0011). No I/O and no clock. */
export class LinkGrowth {
  #wanted = 1
  #phase: Phase = 'rest'
  #looksInPhase = 0
  #deadline = Number.POSITIVE_INFINITY
  #hasWaited = false
  #waitedAt = 0
  #stalls = 0
  #stallsBefore = 0
  #acknowledgedBefore = 0
  /** Bytes of each of the last looks, the newest last. */
  #rates: number[] = []
  /** Bytes a look before more links were asked for. */
  #rateBefore = 0
  /** Bytes since the measurement began. */
  #measured = 0
  #retryAt = 0
  #retryMs = RETRY_MS

  /** How many links there should be, 1 to 16. */
  get wanted(): number {
    return this.#wanted
  }

  /** Monotonic ms of the next `look`; Infinity while nothing waits and one link is wanted. */
  get deadline(): number {
    return this.#deadline
  }

  /** Data waits that the links have no room for. */
  waiting(now: number): void {
    this.#hasWaited = true
    if (this.#deadline === Number.POSITIVE_INFINITY) {
      this.#deadline = now + LOOK_MS
      // What was sent before tells nothing of the path now.
      this.#rates = []
      this.#stalls = 0
      this.#acknowledgedBefore = -1
    }
  }

  /** Looks at what was reached since the last time. */
  look(now: number, counts: LinkCounts): void {
    this.#note(counts)
    if (this.#hasWaited) this.#waitedAt = now
    else if (now - this.#waitedAt >= IDLE_MS) {
      this.#rest(1)
      this.#deadline = Number.POSITIVE_INFINITY
      return
    }
    this.#deadline = now + LOOK_MS
    this.#looksInPhase++
    // A pause says nothing, neither for nor against what is being tried.
    if (this.#hasWaited || this.#rates.at(-1) !== 0) this.#advance(now, counts)
    else if (this.#phase !== 'rest') this.#enter('settling')
    this.#hasWaited = false
  }

  #note({ acknowledged, stalls }: LinkCounts): void {
    if (this.#acknowledgedBefore !== -1) {
      this.#rates.push(acknowledged - this.#acknowledgedBefore)
      this.#stalls = this.#stalls * REMEMBERED + Math.max(0, stalls - this.#stallsBefore)
    }
    if (this.#rates.length > BEFORE_LOOKS) this.#rates.shift()
    this.#acknowledgedBefore = acknowledged
    this.#stallsBefore = stalls
  }

  #advance(now: number, { links }: LinkCounts): void {
    switch (this.#phase) {
      case 'rest':
        if (this.#hasWaited && this.#stalls >= MANY_STALLS && now >= this.#retryAt) this.#grow()
        return
      case 'joining':
        if (links >= this.#wanted || this.#looksInPhase >= JOIN_LOOKS) this.#enter('settling')
        return
      case 'settling':
        if (this.#looksInPhase >= SETTLE_LOOKS) this.#enter('measuring')
        return
      case 'measuring':
        this.#measured += this.#rates.at(-1) ?? 0
        if (this.#looksInPhase >= JUDGED_LOOKS) this.#judge(now)
        return
    }
  }

  #grow(): void {
    if (this.#wanted >= MAX_LINKS || this.#rates.length < BEFORE_LOOKS) return
    this.#rateBefore = this.#rates.reduce((sum, bytes) => sum + bytes, 0) / BEFORE_LOOKS
    this.#wanted *= GROWTH
    this.#enter('joining')
  }

  #judge(now: number): void {
    if (this.#measured / this.#looksInPhase >= this.#rateBefore * KEPT_RISE) {
      this.#retryMs = RETRY_MS
      this.#enter('rest')
    } else if (this.#looksInPhase >= PATIENT_LOOKS) {
      this.#rest(this.#wanted / GROWTH)
      this.#retryAt = now + this.#retryMs
      this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2)
    }
  }

  #rest(links: number): void {
    this.#wanted = links
    this.#enter('rest')
  }

  #enter(phase: Phase): void {
    this.#phase = phase
    this.#looksInPhase = 0
    this.#measured = 0
  }
}
