import type { IncomingMessage } from 'node:http'
import * as v from 'valibot'
import { ERRORS, type ErrorCode, isTunnelError, type Leg, TunnelError } from '../errors.ts'
import { readLimited } from '../read-limited.ts'

/** Most bytes of a request's parameters. */
export const MAX_REQUEST_BYTES = 1024 * 1024
/** Most bytes of an answer. */
export const MAX_RESPONSE_BYTES = 8 * 1024 * 1024
/** Before the method's name in the request's path; the number changes where the form of the messages does. */
export const PATH_PREFIX = '/v1/'

const LEGS = [
  'connector-relay',
  'proxy',
  'relay',
  'relay-agent',
  'agent',
  'agent-target',
  'local',
] as const satisfies Leg[]

const failureSchema = v.strictObject({
  code: v.picklist(Object.keys(ERRORS) as ErrorCode[]),
  detail: v.string(),
  leg: v.picklist(LEGS),
  next: v.string(),
})

const responseSchema = v.union([
  v.strictObject({ result: v.unknown() }),
  v.strictObject({ error: failureSchema }),
])

/** A failure as it crosses the channel. */
export interface ControlFailure {
  readonly error: v.InferOutput<typeof failureSchema>
}

/** The form in which a failure crosses: never its cause, and nothing but INTERNAL of what was not expected. */
export function encodeFailure(error: unknown): ControlFailure {
  const { code, detail, leg, next } = isTunnelError(error) ? error : new TunnelError('INTERNAL')
  return { error: { code, detail, leg, next } }
}

/** The result in an answer. @throws {TunnelError} what the other side failed with; PROTOCOL where the answer has no form */
export function decodeResponse(bytes: Buffer): unknown {
  const response = v.safeParse(responseSchema, parseJson(bytes))
  if (!response.success) {
    throw new TunnelError('PROTOCOL', 'The answer on the control channel has no known form.')
  }
  if ('result' in response.output) return response.output.result
  const { code, detail, leg, next } = response.output.error
  throw new TunnelError(code, detail, { leg, next })
}

/** What the bytes say as JSON. @throws {TunnelError} PROTOCOL where they say nothing */
export function parseJson(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (cause) {
    throw new TunnelError('PROTOCOL', 'The message on the control channel is no JSON.', { cause })
  }
}

/** All of a body. @throws {TunnelError} PROTOCOL where it is longer than `maxBytes` */
export async function readBody(message: IncomingMessage, maxBytes: number): Promise<Buffer> {
  const tooLong = () =>
    new TunnelError('PROTOCOL', `A message on the control channel is longer than ${maxBytes} bytes.`)
  // Before the first byte is read, an answer can still be sent.
  if (Number(message.headers['content-length']) > maxBytes) throw tooLong()
  return await readLimited(message, maxBytes, tooLong)
}
