/** Links of one session at most, the first among them (docs/protocol.md section 6.6). */
export const MAX_LINKS = 16

/** Time between two looks while data waits, in ms. */
const LOOK_MS = 500

/** Looks over which a rate is taken. */
const MEASURED_LOOKS = 2

/** Looks that further links get to join, and then to find their pace. */
const JOIN_LOOKS = 6
const SETTLE_LOOKS = 1

/** More links are kept where they raised the rate at least so many times. */
const KEPT_RISE = 1.2

/** So many stalls, of which a look forgets a part, are a path that loses packets. */
const MANY_STALLS = 2
const REMEMBERED = 0.7

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
  /** Bytes of the last looks, the newest last. */
  #rates: number[] = []
  #rateBefore = 0
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
    const waited = this.#hasWaited
    this.#hasWaited = false
    this.#deadline = now + LOOK_MS
    this.#looksInPhase++
    if (waited) this.#advance(now, counts)
    else if (this.#phase !== 'rest') this.#enter('settling')
  }

  #note({ acknowledged, stalls }: LinkCounts): void {
    if (this.#acknowledgedBefore !== -1) this.#rates.push(acknowledged - this.#acknowledgedBefore)
    if (this.#rates.length > MEASURED_LOOKS) this.#rates.shift()
    this.#acknowledgedBefore = acknowledged
    this.#stalls = this.#stalls * REMEMBERED + Math.max(0, stalls - this.#stallsBefore)
    this.#stallsBefore = stalls
  }

  #advance(now: number, { links }: LinkCounts): void {
    switch (this.#phase) {
      case 'rest':
        if (this.#stalls >= MANY_STALLS && now >= this.#retryAt && this.#rates.length === MEASURED_LOOKS) {
          this.#grow()
        }
        return
      case 'joining':
        if (links >= this.#wanted || this.#looksInPhase >= JOIN_LOOKS) this.#enter('settling')
        return
      case 'settling':
        if (this.#looksInPhase >= SETTLE_LOOKS) this.#enter('measuring')
        return
      case 'measuring':
        if (this.#looksInPhase >= MEASURED_LOOKS) this.#judge(now)
        return
    }
  }

  #grow(): void {
    if (this.#wanted >= MAX_LINKS) return
    this.#rateBefore = this.#rate
    this.#wanted *= 2
    this.#enter('joining')
  }

  #judge(now: number): void {
    if (this.#rate >= this.#rateBefore * KEPT_RISE) {
      this.#retryMs = RETRY_MS
      this.#enter('rest')
      return
    }
    this.#rest(this.#wanted / 2)
    this.#retryAt = now + this.#retryMs
    this.#retryMs = Math.min(MAX_RETRY_MS, this.#retryMs * 2)
  }

  #rest(links: number): void {
    this.#wanted = links
    this.#enter('rest')
  }

  get #rate(): number {
    return this.#rates.reduce((sum, bytes) => sum + bytes, 0)
  }

  #enter(phase: Phase): void {
    this.#phase = phase
    this.#looksInPhase = 0
  }
}
