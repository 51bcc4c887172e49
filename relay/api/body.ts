import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { parseStrictJson } from './json.ts'
import { parsePairs } from './query.ts'

/** Most bytes of a body. */
const BODY_MAX_BYTES = 1024 * 1024

const MEDIA_TYPES = { json: 'application/json', form: 'application/x-www-form-urlencoded' } as const

export interface BodyOptions {
  readonly type: keyof typeof MEDIA_TYPES
  /** For the whole body, in ms. */
  readonly timeoutMs: number
  readonly effects: Pick<Effects, 'after'>
}

/**
 * The members of a request's body; none where there is no body.
 * @throws {TunnelError} HTTP_MEDIA_TYPE, HTTP_BODY_TOO_LARGE, HTTP_REQUEST_TIMEOUT, HTTP_BAD_REQUEST, and INPUT where it is
 * no object
 */
export async function readMembers(
  request: IncomingMessage,
  response: ServerResponse,
  options: BodyOptions,
): Promise<Readonly<Record<string, unknown>>> {
  const { headers } = request
  const isEmpty = headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0
  if (isEmpty) return {}
  checkType(request, options.type)
  if (Number(headers['content-length'] ?? 0) > BODY_MAX_BYTES) throw tooLarge()
  if (headers.expect !== undefined) response.writeContinue()
  const text = decode(await readBytes(request, options))
  if (options.type === 'form') return Object.fromEntries(parsePairs(text))
  const value = parseStrictJson(text)
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new TunnelError('INPUT', 'The body is no object.', { field: '', rule: 'object' })
  }
  return value as Readonly<Record<string, unknown>>
}

/** A page of another site can send text/plain or a form without asking, so nothing else counts as JSON. */
function checkType(request: IncomingMessage, type: BodyOptions['type']): void {
  const [media = '', parameter = 'charset=utf-8'] = (request.headers['content-type'] ?? '')
    .toLowerCase()
    .split(/ *; */)
  const isPlain = (request.headers['content-encoding'] ?? 'identity') === 'identity'
  if (media === MEDIA_TYPES[type] && parameter.replaceAll('"', '') === 'charset=utf-8' && isPlain) return
  const next = `send ${MEDIA_TYPES[type]}, in UTF-8 and not compressed`
  throw new TunnelError('HTTP_MEDIA_TYPE', '', { next })
}

function tooLarge(): TunnelError {
  return new TunnelError('HTTP_BODY_TOO_LARGE', `It may have ${BODY_MAX_BYTES} bytes.`)
}

function readBytes(request: IncomingMessage, { effects, timeoutMs }: BodyOptions): Promise<Buffer> {
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>()
  const cancel = effects.after(timeoutMs, () => reject(new TunnelError('HTTP_REQUEST_TIMEOUT')))
  const chunks: Buffer[] = []
  let length = 0
  request.on('data', (chunk: Buffer) => {
    length += chunk.length
    if (length <= BODY_MAX_BYTES) chunks.push(chunk)
    else reject(tooLarge())
  })
  request.on('end', () => resolve(Buffer.concat(chunks, length)))
  request.on('error', reject)
  request.on('close', () => reject(new TunnelError('CANCELLED')))
  return promise.finally(cancel)
}

function decode(bytes: Buffer): string {
  try {
    // A byte order mark stays, and is then no JSON.
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (cause) {
    throw new TunnelError('HTTP_BAD_REQUEST', 'The body is not UTF-8.', { cause })
  }
}
