import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { type AddressContext, checkAddress, explainDenial } from '../../shared/policy/decide.ts'
import type { Rule } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { type ConnectOptions, connectFirst } from './connect.ts'
import type { Resolver } from './resolve.ts'

export interface DialOptions extends ConnectOptions {
  /** Ends the dial; a socket that was handed out is the caller's own. */
  readonly signal: AbortSignal
  /** Milliseconds for all of it: name, every address, connect. At least 1. */
  readonly deadlineMs: number
  readonly effects: Pick<Effects, 'now' | 'after'>
  readonly resolver: Resolver
  /** Addresses of this host and of the relays (`addressContext`), as they are now. */
  readonly context: AddressContext
}

/**
 * Connects to the target of a rule: resolves the name once, checks every address it gave, and connects to those
 * numbers that passed, so that no second answer of a name server can slip in between check and connect.
 *
 * @returns a connected socket with allowHalfOpen, noDelay and keep-alive, without listeners; the caller owns it
 * @throws {TunnelError} DENIED_BY_SITE, DNS, CONNECTION_REFUSED, CONNECT_TIMEOUT, UNREACHABLE, OVERLOADED, CANCELLED;
 * nothing is left behind. The detail names addresses: it may cross to a peer only where the rule says `detail`.
 */
export async function dialTarget(rule: Rule, options: DialOptions): Promise<Socket> {
  const { signal, deadlineMs, effects } = options
  if (signal.aborted) throw cancelled(signal)
  const target = formatHostPort(rule.host.text, rule.port)
  const limit = new AbortController()
  let isResolved = false
  const onAbort = () => limit.abort(cancelled(signal))
  const cancelTimer = effects.after(deadlineMs, () => {
    const code = isResolved ? 'CONNECT_TIMEOUT' : 'DNS'
    limit.abort(new TunnelError(code, `${target}: no answer in ${deadlineMs} ms`))
  })
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    const addresses = await addressesOf(rule, options, limit.signal)
    isResolved = true
    const socket = await connectFirst(addresses, rule.port, { ...options, signal: limit.signal })
    // Given up between the connect and this turn: the caller no longer looks at what it gets.
    if (limit.signal.aborted) socket.destroy()
    limit.signal.throwIfAborted()
    return socket
  } catch (err) {
    // The name may have moved: the next stream asks again instead of trusting an answer that leads nowhere.
    if (isResolved && !signal.aborted) options.resolver.forget(rule.host.text)
    throw err
  } finally {
    cancelTimer()
    signal.removeEventListener('abort', onAbort)
  }
}

/** The numbers that may be dialled; at least one. */
async function addressesOf(
  rule: Rule,
  options: DialOptions,
  signal: AbortSignal,
): Promise<readonly string[]> {
  const { host } = rule
  const answers = host.kind === 'ip' ? [host.text] : await options.resolver.resolve(host.text, signal)
  const denials: string[] = []
  const allowed = answers.flatMap((answer) => {
    const verdict = checkAddress(rule, answer, options.context)
    if (verdict.allowed) return verdict.dial
    denials.push(`${JSON.stringify(answer)}: ${explainDenial(verdict.reason)}`)
    return []
  })
  if (allowed.length > 0) return allowed
  throw new TunnelError('DENIED_BY_SITE', denials.slice(0, 3).join('; '))
}

function cancelled(signal: AbortSignal): TunnelError {
  if (isTunnelError(signal.reason)) return signal.reason
  return new TunnelError('CANCELLED', '', { leg: 'agent', cause: signal.reason })
}
