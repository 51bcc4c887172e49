import { Resolver as DnsResolver, lookup as dnsLookup } from 'node:dns/promises'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'

/** Milliseconds that a caller waits for a name. */
export const RESOLVE_MS = 5_000
/** Milliseconds for which an answer is used again. getaddrinfo tells no TTL, so it is short; failures are not kept. */
export const CACHE_MS = 10_000
/** Most answers of one name that are looked at. */
const MAX_ANSWERS = 16
/** Lookups of the system at once: libuv gives getaddrinfo two of its four threads, a third would wait unseen. */
const MAX_LOOKUPS = 2
/** Milliseconds that a name waits for one of the two threads before DNS is asked directly. */
export const PATIENCE_MS = 500

const MAX_CACHED = 1_024
const MAX_FLIGHTS = 256

/** Asks for all addresses of a name; rejects with an errno-like error. */
export type Ask = (host: string) => Promise<readonly string[]>

/** Names to numbers (docs/decisions/0002-resolving.md). Nobody but the dial asks it, and only once for each stream. */
export interface Resolver {
  /**
   * At most MAX_ANSWERS addresses as text, unchecked, in the order of the system.
   * @throws {TunnelError} DNS where there are none or not in RESOLVE_MS; OVERLOADED
   * @throws the reason of `signal`
   */
  resolve(host: string, signal: AbortSignal): Promise<readonly string[]>
  /** Drops the cached answer, because none of it could be reached. */
  forget(host: string): void
}

export interface ResolverOptions {
  readonly effects: Pick<Effects, 'now' | 'after'>
  /** The system's way (hosts file, search domains, directory services); it holds a thread until it ends. */
  readonly lookup?: Ask
  /** Plain DNS, which holds no thread. */
  readonly query?: Ask
}

/** A resolver whose hung names cost their own callers RESOLVE_MS and everybody else nothing. */
export function createResolver(options: ResolverOptions): Resolver {
  return new SharedResolver(options)
}

class SharedResolver implements Resolver {
  readonly #effects: Pick<Effects, 'now' | 'after'>
  readonly #lookup: Ask
  readonly #query: Ask
  readonly #cache = new Map<string, { readonly addresses: readonly string[]; readonly until: number }>()
  /** What is being asked now, so that a burst of streams to one name asks once. */
  readonly #flights = new Map<string, Promise<readonly string[]>>()
  /** Names that hold a thread for longer than anybody waits. */
  readonly #hung = new Set<string>()
  readonly #waiting = new Set<() => void>()
  #lookups = 0

  constructor(options: ResolverOptions) {
    this.#effects = options.effects
    this.#lookup = options.lookup ?? systemLookup
    this.#query = options.query ?? dnsQuery
  }

  async resolve(host: string, signal: AbortSignal): Promise<readonly string[]> {
    signal.throwIfAborted()
    // RFC 6761 section 6.3: localhost is this host, whatever a name server says.
    if (host === 'localhost' || host.endsWith('.localhost')) return ['127.0.0.1', '::1']
    const cached = this.#cache.get(host)
    if (cached !== undefined && cached.until > this.#effects.now()) return cached.addresses
    return await this.#bounded(host, this.#flights.get(host) ?? this.#launch(host), signal)
  }

  forget(host: string): void {
    this.#cache.delete(host)
  }

  /** Waits for a flight, which goes on when this caller has given up. */
  #bounded(
    host: string,
    flight: Promise<readonly string[]>,
    signal: AbortSignal,
  ): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      const onAbort = () => settle(() => reject(signal.reason as Error))
      const cancelTimer = this.#effects.after(RESOLVE_MS, () =>
        settle(() => reject(new TunnelError('DNS', `${host}: no answer in ${RESOLVE_MS} ms`))),
      )
      const settle = (act: () => void) => {
        cancelTimer()
        signal.removeEventListener('abort', onAbort)
        act()
      }
      signal.addEventListener('abort', onAbort, { once: true })
      flight.then(
        (addresses) => settle(() => resolve(addresses)),
        (err: Error) => settle(() => reject(err)),
      )
    })
  }

  #launch(host: string): Promise<readonly string[]> {
    if (this.#flights.size >= MAX_FLIGHTS) {
      return Promise.reject(
        new TunnelError('OVERLOADED', 'too many names are being resolved', { leg: 'agent' }),
      )
    }
    const flight = this.#ask(host)
      .then((answers) => this.#keep(host, answers))
      .catch((err: unknown) => {
        throw dnsError(host, err)
      })
      .finally(() => {
        if (this.#flights.get(host) === flight) this.#flights.delete(host)
      })
    this.#flights.set(host, flight)
    // Where every caller has gone, nobody is left to see it fail.
    flight.catch(() => {})
    return flight
  }

  async #ask(host: string): Promise<readonly string[]> {
    if (this.#hung.has(host) || !(await this.#takeThread())) return await this.#query(host)
    const cancelTimer = this.#effects.after(RESOLVE_MS, () => {
      // Nobody waits for it any more. The thread stays taken; who asks again is sent another way.
      this.#hung.add(host)
      this.#flights.delete(host)
    })
    try {
      return await this.#lookup(host)
    } finally {
      cancelTimer()
      this.#hung.delete(host)
      this.#lookups--
      const [next] = this.#waiting
      next?.()
    }
  }

  /** Takes one of the threads, waiting for it with little patience. @returns false where none became free */
  async #takeThread(): Promise<boolean> {
    if (this.#lookups < MAX_LOOKUPS) {
      this.#lookups++
      return true
    }
    return await new Promise((resolve) => {
      const onFree = () => {
        cancelTimer()
        this.#waiting.delete(onFree)
        this.#lookups++
        resolve(true)
      }
      const cancelTimer = this.#effects.after(PATIENCE_MS, () => {
        this.#waiting.delete(onFree)
        resolve(false)
      })
      this.#waiting.add(onFree)
    })
  }

  #keep(host: string, answers: readonly string[]): readonly string[] {
    const addresses = [...new Set(answers)].slice(0, MAX_ANSWERS)
    if (addresses.length === 0) throw new TunnelError('DNS', `${host}: no address`)
    const [oldest] = this.#cache.keys()
    if (this.#cache.size >= MAX_CACHED && oldest !== undefined) this.#cache.delete(oldest)
    this.#cache.delete(host)
    this.#cache.set(host, { addresses, until: this.#effects.now() + CACHE_MS })
    return addresses
  }
}

async function systemLookup(host: string): Promise<readonly string[]> {
  const answers = await dnsLookup(host, { all: true, order: 'verbatim' })
  return answers.map(({ address }) => address)
}

async function dnsQuery(host: string): Promise<readonly string[]> {
  const dns = new DnsResolver({ timeout: 2_000, tries: 2 })
  const answers = await Promise.allSettled([dns.resolve4(host), dns.resolve6(host)])
  const addresses = answers.flatMap((answer) => (answer.status === 'fulfilled' ? answer.value : []))
  const [first] = answers
  if (addresses.length === 0 && first.status === 'rejected') throw first.reason
  return addresses
}

function dnsError(host: string, err: unknown): unknown {
  if (err instanceof TunnelError) return err
  const { code } = err as NodeJS.ErrnoException
  return code === undefined ? err : new TunnelError('DNS', `${host}: ${code}`, { cause: err })
}
