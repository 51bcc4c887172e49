import type { IncomingMessage } from 'node:http'
import type { Effects } from '../effects.ts'
import { headerValues } from './headers.ts'

/** Trace of one exchange. */
export interface Trace {
  /** 32 lower-case hex digits. */
  readonly id: string
  /** The traceparent header to pass on: the caller's own where it is well formed. */
  readonly parent: string
}

const TRACEPARENT = /^00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$/

/**
 * The trace a request belongs to: the caller's (W3C Trace Context, one well-formed header) or a new one. An id
 * is never a secret and never an authority, so a caller may choose it.
 */
export function traceOf(request: IncomingMessage, effects: Pick<Effects, 'randomBytes'>): Trace {
  const given = headerValues(request.rawHeaders, 'traceparent')
  const parent = given.length === 1 ? given[0] : undefined
  const id = parent === undefined ? undefined : TRACEPARENT.exec(parent)?.[1]
  if (parent !== undefined && id !== undefined) return { id, parent }
  const fresh = effects.randomBytes(24).toString('hex')
  return { id: fresh.slice(0, 32), parent: `00-${fresh.slice(0, 32)}-${fresh.slice(32)}-00` }
}
