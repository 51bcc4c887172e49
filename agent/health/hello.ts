import type { ErrorCode } from '../../shared/errors.ts'

/** Most bytes of an answer that are looked at. */
export const MAX_ANSWER_BYTES = 1_024

/** What the first answer of a target means. */
export interface Reading {
  readonly state: 'ok' | 'warn' | 'failing'
  /** With `failing`, where it is not TARGET_UNHEALTHY. */
  readonly code?: ErrorCode
  /** In our own words, without anything of the target or its address: may leave the site. */
  readonly note: string
  /** In the words of the target, as they came: stays on the site unless the rule says otherwise. */
  readonly said?: string
  /** The target waits for a TLS handshake on this connection now. */
  readonly startTls?: boolean
}

/**
 * How a protocol says hello without a login: bytes out, bytes in, no I/O. What is asked changes nothing at the target.
 */
export interface Hello {
  /** What is sent first; absent where the target speaks first. */
  readonly ask?: Uint8Array
  /** What all bytes so far mean, at most 1,024 of them; undefined while more are needed. */
  readonly read: (answer: Buffer) => Reading | undefined
  /** What it means that there is no answer; without it: that the target fails. */
  readonly silence?: Reading
  /** What is said before the end, so that the target does not log a broken conversation. */
  readonly bye?: Uint8Array
}

/** The answer is none of the protocol that the rule names. */
export function foreign(protocol: string, answer: Buffer): Reading {
  return { state: 'failing', note: `what answers is not ${protocol}`, said: answer.toString('latin1') }
}

/** The first line without its end; undefined while it is not whole. */
export function firstLine(answer: Buffer): string | undefined {
  const end = answer.indexOf('\n')
  return end === -1 ? undefined : answer.toString('latin1', 0, end).replace(/\r$/, '')
}

/** Longest text about a target that is kept, in characters. */
const MAX_DETAIL = 200

/** `text` cut to 200 characters of printable ASCII: neither a terminal nor a log line can be made to do anything by it. */
export function harmless(text: string): string {
  return text.replace(/[^\x20-\x7e]/g, '?').slice(0, MAX_DETAIL)
}
