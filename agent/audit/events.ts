import type { ErrorCode, TunnelError } from '../../shared/errors.ts'
import type { OpenMeta } from '../../shared/handshake/open.ts'
import type { Rule, Rules } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { policyDigest } from '../rules/digest.ts'
import type { AgentAction, AgentEvent } from './record.ts'

/** A stream was let in. */
export function openedEvent(meta: OpenMeta, { protocol, host, port }: Rule): AgentEvent {
  const detail = `${protocol} ${formatHostPort(host.text, port)}`
  return eventOf(meta, 'stream.open', 'OK', detail)
}

/** A stream was not let in. */
export function deniedEvent(meta: OpenMeta, { code, detail }: TunnelError): AgentEvent {
  return eventOf(meta, 'stream.deny', code, detail)
}

/** So many more were not let in, for one reason. */
export function moreDeniedEvent(count: number, outcome: ErrorCode, reason: string | undefined): AgentEvent {
  const detail = reason === undefined ? `${count} more` : `${count} more, ${reason}`
  return { action: 'stream.deny', object: '', outcome, detail }
}

/** A stream is over. */
export function closedEvent(
  meta: OpenMeta,
  outcome: ErrorCode,
  { bytesSent, bytesReceived }: { readonly bytesSent: number; readonly bytesReceived: number },
): AgentEvent {
  return eventOf(meta, 'stream.close', outcome, `sent ${bytesSent}, received ${bytesReceived}`)
}

function eventOf(
  { resource, opener, source, trace }: OpenMeta,
  action: AgentAction,
  outcome: ErrorCode,
  detail: string,
): AgentEvent {
  return { action, object: resource, opener, source, outcome, trace, detail }
}

/** The rules are others now. */
export function rulesEvent(rules: Rules, changes: Readonly<Record<string, readonly string[]>>): AgentEvent {
  const detail = Object.entries(changes)
    .filter(([, names]) => names.length > 0)
    .map(([what, names]) => `${what} ${names.join(' ')}`)
    .join(', ')
  const object = Buffer.from(policyDigest(rules)).toString('hex')
  return { action: 'rules.change', object, outcome: 'OK', detail }
}
