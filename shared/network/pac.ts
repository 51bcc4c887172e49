import dgram from 'node:dgram'
import { lookup } from 'node:dns/promises'
import type { Effects } from '../effects.ts'
import { formatHostPort } from '../wire/host-port.ts'
import { parsePacAnswer } from './pac-answer.ts'
import { runPac } from './pac-script.ts'
import { loadPac } from './pac-source.ts'
import type { Route, Target } from './route.ts'

/** How long a PAC file and what it answered are taken as they are, in ms. */
const FILE_TTL_MS = 600_000
const ANSWER_TTL_MS = 60_000

/** Targets whose answers are kept; there are a handful of relays. */
const MAX_ANSWERS = 16

/** How long one name may take to resolve for a PAC file, in ms. */
const LOOKUP_MS = 2_000

interface Kept<T> {
  readonly at: number
  readonly value: T
}

export interface PacOptions {
  /** URL or path. */
  readonly source: string
  /** PEM of further CAs for https. */
  readonly roots: () => Promise<readonly string[]>
  readonly effects: Effects
}

/** One PAC file: loaded again every ten minutes, asked again every minute; the last good one holds while it cannot be had. */
export class Pac {
  readonly #options: PacOptions
  readonly #answers = new Map<string, Kept<readonly Route[]>>()
  #script: Kept<string> | undefined

  constructor(options: PacOptions) {
    this.#options = options
  }

  /** The ways to `target` in order, at least one. @throws {TunnelError} PAC */
  async routesTo(target: Target, signal: AbortSignal): Promise<readonly Route[]> {
    const { effects } = this.#options
    const where = formatHostPort(target.host, target.port)
    const kept = this.#answers.get(where)
    if (kept !== undefined && effects.now() - kept.at < ANSWER_TTL_MS) return kept.value
    const script = await this.#load(signal)
    const text = await runPac(
      { script, url: `https://${where}/`, host: target.host },
      { resolve: (name) => addressOf(name, effects), address: await ownAddress(), effects, signal },
    )
    const value = parsePacAnswer(text)
    if (this.#answers.size === MAX_ANSWERS) this.#answers.clear()
    this.#answers.set(where, { at: effects.now(), value })
    return value
  }

  async #load(signal: AbortSignal): Promise<string> {
    const { source, roots, effects } = this.#options
    const kept = this.#script
    if (kept !== undefined && effects.now() - kept.at < FILE_TTL_MS) return kept.value
    try {
      const value = await loadPac(source, await roots(), signal)
      this.#script = { at: effects.now(), value }
      return value
    } catch (err) {
      if (kept === undefined) throw err
      this.#script = { ...kept, at: effects.now() }
      return kept.value
    }
  }
}

async function addressOf(name: string, effects: Effects): Promise<string | null> {
  const late = Promise.withResolvers<null>()
  const cancel = effects.after(LOOKUP_MS, () => late.resolve(null))
  const found = lookup(name, 4).then(
    ({ address }) => address,
    () => null,
  )
  return Promise.race([found, late.promise]).finally(cancel)
}

/** The address from which this machine would speak to others: connecting a datagram socket chooses it and sends nothing. */
async function ownAddress(): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>()
  const socket = dgram.createSocket('udp4')
  socket.once('error', () => resolve('127.0.0.1'))
  // An address for documentation (RFC 5737), for which the default route is taken.
  socket.connect(9, '192.0.2.1', () => resolve(socket.address().address))
  return promise.finally(() => socket.close())
}
