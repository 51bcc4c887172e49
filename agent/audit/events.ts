import type { ErrorCode, TunnelError } from '../../shared/errors.ts'
import type { OpenMeta } from '../../shared/handshake/open.ts'
import type { Rule, Rules } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { policyDigest } from '../rules/digest.ts'
import type { AgentEvent } from './record.ts'

/** A stream was let in. */
export function openedEvent(meta: OpenMeta, { protocol, host, port }: Rule): AgentEvent {
  const detail = `${protocol} ${formatHostPort(host.text, port)}`
  return { action: 'stream.open', outcome: 'OK', detail, ...whose(meta) }
}

/** A stream was not let in. */
export function deniedEvent(meta: OpenMeta, { code, detail }: TunnelError): AgentEvent {
  return { action: 'stream.deny', outcome: code, detail, ...whose(meta) }
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
  const detail = `sent ${bytesSent}, received ${bytesReceived}`
  return { action: 'stream.close', outcome, detail, ...whose(meta) }
}

function whose({ resource, opener, source, trace }: OpenMeta) {
  return { object: resource, opener, source, trace }
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
