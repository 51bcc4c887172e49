import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { type AddressContext, checkAddress, explainDenial } from '../../shared/policy/decide.ts'
import type { Rule } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { type ConnectOptions, connectFirst } from './connect.ts'
import type { Resolver } from './resolve.ts'

export interface DialOptions extends Omit<ConnectOptions, 'limit'> {
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
  const { signal, deadlineMs, effects, resolver, connect, socketOptions } = options
  if (signal.aborted) throw cancelled(signal)
  const { host, port } = rule
  const began = effects.now()
  const answers = host.kind === 'ip' ? [host.text] : await resolved(host.text, options)
  const addresses = allowedOf(rule, answers, options.context)
  const timeout = () =>
    new TunnelError('CONNECT_TIMEOUT', `${formatHostPort(host.text, port)}: no answer in ${deadlineMs} ms`)
  const ms = Math.max(0, deadlineMs - (effects.now() - began))
  try {
    const limit = { ms, timeout }
    const socket = await connectFirst(addresses, port, { signal, limit, effects, connect, socketOptions })
    // Given up between the connect and this turn: the caller no longer looks at what it gets.
    if (signal.aborted) socket.destroy()
    signal.throwIfAborted()
    return socket
  } catch (err) {
    if (signal.aborted) throw cancelled(signal)
    // The name may have moved: the next stream asks again instead of trusting an answer that leads nowhere.
    resolver.forget(host.text)
    throw err
  }
}

/** What the resolver says of a name. @throws {TunnelError} DNS also where it says nothing until the deadline */
async function resolved(
  host: string,
  { signal, deadlineMs, effects, resolver }: DialOptions,
): Promise<readonly string[]> {
  const limit = new AbortController()
  const onAbort = () => limit.abort(cancelled(signal))
  const cancelTimer = effects.after(deadlineMs, () =>
    limit.abort(new TunnelError('DNS', `${host}: no answer in ${deadlineMs} ms`)),
  )
  signal.addEventListener('abort', onAbort, { once: true })
  try {
    return await resolver.resolve(host, limit.signal)
  } finally {
    cancelTimer()
    signal.removeEventListener('abort', onAbort)
  }
}

/** The numbers that may be dialled; at least one. @throws {TunnelError} DENIED_BY_SITE */
function allowedOf(rule: Rule, answers: readonly string[], context: AddressContext): readonly string[] {
  const allowed: string[] = []
  const denials: string[] = []
  for (const answer of answers) {
    const verdict = checkAddress(rule, answer, context)
    if (verdict.allowed) allowed.push(verdict.dial)
    else denials.push(`${JSON.stringify(answer)}: ${explainDenial(verdict.reason)}`)
  }
  if (allowed.length > 0) return allowed
  throw new TunnelError('DENIED_BY_SITE', denials.slice(0, 3).join('; '))
}

function cancelled(signal: AbortSignal): TunnelError {
  if (isTunnelError(signal.reason)) return signal.reason
  return new TunnelError('CANCELLED', '', { leg: 'agent', cause: signal.reason })
}
