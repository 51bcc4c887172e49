import type { Effects } from '../effects.ts'
import { isTunnelError } from '../errors.ts'
import type { RelayAddress } from '../identity/relay-address.ts'

/** How long an address may be silent before the next is tried beside it, in ms. */
const NEXT_ADDRESS_MS = 1_000

export interface DialFirstOptions<T> {
  readonly effects: Pick<Effects, 'after'>
  readonly signal: AbortSignal
  /** Dials one address; must give up when its signal aborts. */
  readonly dial: (address: RelayAddress, signal: AbortSignal) => Promise<T>
  /** Gets rid of what came after another address had won. */
  readonly discard: (late: T) => void
}

/**
 * Dials addresses of one relay in order until one stands: a failed one is followed by the next at once, a silent one after
 * NEXT_ADDRESS_MS, and stays in the race.
 *
 * @param addresses at least one
 * @throws the reason of the signal; where all failed, the first failure that says more than that nothing was reached
 */
export function dialFirst<T>(
  addresses: readonly RelayAddress[],
  options: DialFirstOptions<T>,
): Promise<{ readonly address: RelayAddress; readonly value: T }> {
  const { effects, signal, dial, discard } = options
  const losers = new AbortController()
  const limit = AbortSignal.any([signal, losers.signal])
  const rest = [...addresses]
  const failures: unknown[] = []
  let cancelNext = () => {}
  return new Promise((resolve, reject) => {
    let isOver = false
    const tryNext = () => {
      cancelNext()
      const address = rest.shift()
      if (address === undefined || isOver) return
      if (rest.length > 0) cancelNext = effects.after(NEXT_ADDRESS_MS, tryNext)
      dial(address, limit).then(
        (value) => {
          if (isOver) {
            discard(value)
            return
          }
          isOver = true
          cancelNext()
          losers.abort()
          resolve({ address, value })
        },
        (failure: unknown) => {
          failures.push(failure)
          if (isOver) return
          if (signal.aborted || failures.length === addresses.length) {
            isOver = true
            cancelNext()
            reject(mostTelling(failures))
          } else tryNext()
        },
      )
    }
    tryNext()
  })
}

function mostTelling(failures: readonly unknown[]): unknown {
  return failures.find((err) => !isTunnelError(err) || err.code !== 'RELAY_UNREACHABLE') ?? failures[0]
}
