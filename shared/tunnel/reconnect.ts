import type { Effects } from '../effects.ts'
import { type ErrorCode, isTunnelError, TunnelError } from '../errors.ts'
import type { ClientTunnel } from './client-tunnel.ts'

/** Backoff of docs/protocol.md section 8.4, in ms. */
const BACKOFF = { first: 500, most: 30_000 } as const

/** Longest pause while streams wait for a tunnel, in ms: their grace time runs. After one that stood, and where none came. */
const URGENT_MS = { lost: 500, failed: 2_000 } as const

/** A session that lived so long in ms starts the backoff anew. */
const HEALTHY_MS = 60_000

/** How long to wait in ms where the relay knows us no more: asking again every second helps nobody. */
const REFUSED = { first: 60_000, most: 300_000 } as const

const REFUSALS: ReadonlySet<ErrorCode> = new Set([
  'REVOKED',
  'IDENTITY',
  'EXPIRED',
  'RELAY_IDENTITY',
  'PROXY_AUTH',
  'REPLACED',
  'OUTDATED',
])

/** Refusals after which no path comes back for the streams that wait for one. What is no relay of ours may go again. */
const FINAL: ReadonlySet<ErrorCode> = new Set(['REVOKED', 'IDENTITY', 'EXPIRED', 'REPLACED'])

/** True where streams that wait for a path must be ended: its relay takes this identity no more. */
export function endsStreams(error: TunnelError): boolean {
  return FINAL.has(error.code)
}

export interface KeepConnectedOptions {
  readonly effects: Effects
  readonly signal: AbortSignal
  /** True while streams wait for a tunnel: then no pause is longer than 2 s, and 0.5 s after a tunnel that stood. */
  readonly isUrgent?: () => boolean
  /** One attempt: dial, upgrade, greet. */
  readonly connect: (signal: AbortSignal) => Promise<ClientTunnel>
  /** The tunnel serves from now on; the one before may still carry its last streams. */
  readonly onUp: (tunnel: ClientTunnel) => void
  /** An attempt failed or the tunnel broke; the next attempt comes in `retryMs`. */
  readonly onDown: (error: TunnelError, retryMs: number) => void
}

/**
 * Keeps one tunnel up until `signal` aborts: full jitter between attempts, also after the very first, and a replacement
 * before the old one goes where the relay asks for it.
 */
export async function keepConnected(options: KeepConnectedOptions): Promise<void> {
  const { signal } = options
  const pauses = pausesOf(options)
  let leaving: Leaving | undefined
  while (!signal.aborted) {
    const { error, livedMs, next } = await oneTunnel(options, leaving)
    // An attempt that failed leaves the old tunnel as it was: the one that replaces it is still to come.
    if (livedMs >= 0) leaving = next
    if (signal.aborted) return
    if (error === undefined) {
      await pauseUnlessUrgent(options, pauses.afterFarewell(livedMs))
      continue
    }
    const retryMs = pauses.afterFailure(error, livedMs)
    options.onDown(error, retryMs)
    await pauseUnlessUrgent(options, retryMs, error)
  }
}

/** Waits, but no longer than URGENT_MS once streams wait for a tunnel, whenever in the pause they began to. */
async function pauseUnlessUrgent(
  options: KeepConnectedOptions,
  ms: number,
  error?: TunnelError,
): Promise<void> {
  const { effects, signal, isUrgent } = options
  for (let left = ms; left > 0 && !signal.aborted; left -= URGENT_MS.failed) {
    await pause(effects, Math.min(left, URGENT_MS.failed), signal)
    if (isUrgent?.() === true && (error === undefined || !REFUSALS.has(error.code))) return
  }
}

/** How long to wait in ms, by how one tunnel after the other has ended. */
function pausesOf({ effects, isUrgent }: KeepConnectedOptions) {
  let failures = 0
  let farewells = 0
  return {
    /** The relay asked for the next one. One that sends away all whom it has just let in would be asked without end. */
    afterFarewell(livedMs: number): number {
      failures = 0
      farewells = livedMs >= HEALTHY_MS ? 0 : farewells + 1
      if (farewells < 2) return 0
      const random = effects.random()
      const pauseMs = backoff(farewells - 2, new TunnelError('DRAINING'), random)
      return isUrgent?.() === true ? Math.min(pauseMs, URGENT_MS.failed * random) : pauseMs
    },
    afterFailure(error: TunnelError, livedMs: number): number {
      if (livedMs >= HEALTHY_MS) failures = 0
      const random = effects.random()
      const pauseMs = backoff(failures++, error, random)
      if (isUrgent?.() !== true || REFUSALS.has(error.code)) return pauseMs
      const urgentMs = livedMs >= 0 ? URGENT_MS.lost : URGENT_MS.failed
      return Math.min(pauseMs, urgentMs * random)
    },
  }
}

/** A tunnel that is to be replaced, and for how long its streams may go on then, in ms. */
interface Leaving {
  readonly tunnel: ClientTunnel
  readonly drainMs: number
}

/** How a tunnel ended: without an error where the next one is to be made while it still stands. */
interface Ended {
  readonly error?: TunnelError
  /** How long it stood in ms; below 0 where it never did. */
  readonly livedMs: number
  readonly next?: Leaving
}

/** One tunnel from its first attempt to its end. Once it stands, nothing new comes over the one it replaces. */
async function oneTunnel(options: KeepConnectedOptions, leaving: Leaving | undefined): Promise<Ended> {
  const { effects, signal } = options
  let upSince = Number.POSITIVE_INFINITY
  try {
    const tunnel = await options.connect(signal)
    upSince = effects.now()
    options.onUp(tunnel)
    leaving?.tunnel.drain(leaving.drainMs)
    const goAway = await untilOver(tunnel, signal)
    if (goAway === undefined) return { error: await tunnel.closed, livedMs: effects.now() - upSince }
    if (goAway.code === 'REPLACED' || goAway.code === 'OUTDATED') {
      // Another process speaks for this identity, or this one is not wanted: answering at once would start a quarrel.
      const error = new TunnelError(goAway.code)
      tunnel.close(error)
      return { error, livedMs: 0 }
    }
    await pause(effects, goAway.retryAfterMs * effects.random(), signal)
    return { livedMs: effects.now() - upSince, next: { tunnel, drainMs: goAway.drainMs } }
  } catch (error) {
    if (!isTunnelError(error)) throw error
    return { error, livedMs: effects.now() - upSince }
  }
}

/** The GOAWAY of the relay, or undefined where the tunnel ended without one. */
async function untilOver(tunnel: ClientTunnel, signal: AbortSignal) {
  const aborted = Promise.withResolvers<undefined>()
  const onAbort = () => {
    tunnel.close(new TunnelError('CANCELLED'))
    aborted.resolve(undefined)
  }
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await Promise.race([tunnel.goingAway, tunnel.closed.then(() => undefined), aborted.promise])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

async function pause(effects: Effects, ms: number, signal: AbortSignal): Promise<void> {
  await effects.sleep(ms, signal).catch((reason: unknown) => {
    if (!signal.aborted) throw reason
  })
}

/** Full jitter: anything between nothing and twice as much as after the failure before. */
function backoff(failures: number, error: TunnelError, random: number): number {
  const { first, most } = REFUSALS.has(error.code) ? REFUSED : BACKOFF
  const ceiling = Math.min(most, first * 2 ** Math.min(failures, 20))
  // Minutes of waiting for a refusal are a floor, not a chance.
  return REFUSALS.has(error.code) ? ceiling * (0.5 + random / 2) : ceiling * random
}
