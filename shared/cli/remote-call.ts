import type { ClientRequest, IncomingMessage } from 'node:http'
import { request as httpsRequest } from 'node:https'
import * as v from 'valibot'
import { ERRORS, type ErrorCode, TunnelError } from '../errors.ts'
import type { RelayAddress } from '../identity/relay-address.ts'
import {
  type RelayTrust,
  relayConnectError,
  relayHandshakeOptions,
  relayTlsOptions,
} from '../identity/relay-tls.ts'
import { fromJson } from '../json.ts'
import { readLimited } from '../read-limited.ts'
import type { Secret } from '../secret.ts'
import { printable } from './printable.ts'

/** Most bytes of an answer. */
const ANSWER_MAX_BYTES = 8 * 1024 * 1024

export interface RemoteRequest {
  readonly method: string
  /** With the query, percent-encoded. */
  readonly path: string
  /** Sent as JSON; nothing where it is left out. */
  readonly body?: object | undefined
}

/** The relay that is asked, and as whom. */
export interface RemoteRelay {
  readonly address: RelayAddress
  /** PEM of its CA; without it the roots of the system count. */
  readonly ca?: string | undefined
  /** Left out for what needs no login. */
  readonly token?: Secret<string> | undefined
}

export interface RemoteOptions {
  readonly signal: AbortSignal
  /** For the whole call, in ms; 30,000 by default. */
  readonly timeoutMs?: number
}

const problemSchema = v.object({
  code: v.pipe(
    v.string(),
    v.check((code) => Object.hasOwn(ERRORS, code)),
    v.transform((code) => code as ErrorCode),
  ),
  detail: v.pipe(v.string(), v.maxLength(1_000)),
  next: v.pipe(v.string(), v.maxLength(1_000)),
})

/**
 * Asks the API of a relay. Redirects are not followed: a token goes nowhere but to the relay that TLS proved.
 * @throws {TunnelError} RELAY_UNREACHABLE, RELAY_IDENTITY, CLOCK; PROTOCOL where the answer has no known form; and what the
 * relay refuses with
 */
export async function callRemote(
  relay: RemoteRelay,
  { method, path, body }: RemoteRequest,
  { signal, timeoutMs = 30_000 }: RemoteOptions,
): Promise<unknown> {
  const { address } = relay
  const asked = requestOf(
    relay,
    { method, path, body },
    AbortSignal.any([signal, AbortSignal.timeout(timeoutMs)]),
  )
  try {
    const response = await send(asked)
    const text = await readAll(response)
    if (response.statusCode === 200) return JSON.parse(text)
    throw problemOf(response.statusCode ?? 0, text)
  } catch (error) {
    signal.throwIfAborted()
    if (error instanceof SyntaxError) throw notUnderstood(200)
    throw relayConnectError(error, address)
  } finally {
    asked.request.destroy()
  }
}

/** A relay says something at least so often while it answers by a stream, in ms: its live streams do each 15 s. */
const STREAM_SILENCE_MS = 60_000

/**
 * Asks the API of a relay for an answer that is a stream of bytes, as long as it may be.
 * @throws {TunnelError} as {@link callRemote}; RELAY_UNREACHABLE where it breaks off or falls silent
 */
export async function* streamRemote(
  relay: RemoteRelay,
  { method, path, body }: RemoteRequest,
  signal: AbortSignal,
): AsyncGenerator<Buffer, void> {
  const { address } = relay
  const asked = requestOf(relay, { method, path, body }, signal)
  asked.request.setTimeout(STREAM_SILENCE_MS, () =>
    asked.request.destroy(new TunnelError('RELAY_UNREACHABLE', 'It says nothing any more.')),
  )
  try {
    const response = await send(asked)
    if (response.statusCode !== 200) throw problemOf(response.statusCode ?? 0, await readAll(response))
    yield* response as AsyncIterable<Buffer>
  } catch (error) {
    signal.throwIfAborted()
    throw relayConnectError(error, address)
  } finally {
    asked.request.destroy()
  }
}

interface AskedRequest {
  readonly request: ClientRequest
  readonly content: Buffer | undefined
}

function requestOf(
  { address, ca, token }: RemoteRelay,
  { method, path, body }: RemoteRequest,
  signal: AbortSignal,
): AskedRequest {
  const content = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
  const request = httpsRequest({
    ...tlsOf(address, ca),
    ...{ host: address.host, port: address.port, method, path, agent: false, signal },
    headers: {
      accept: 'application/json',
      ...(token === undefined ? {} : { authorization: `Bearer ${token.reveal()}` }),
      ...(content === undefined
        ? {}
        : { 'content-type': 'application/json', 'content-length': content.length }),
    },
  })
  return { request, content }
}

function tlsOf({ host }: RelayAddress, ca: string | undefined) {
  const trust: RelayTrust | undefined = ca === undefined ? undefined : { serverName: host, ca }
  return trust === undefined ? relayHandshakeOptions(host) : relayTlsOptions(trust)
}

function send({ request, content }: AskedRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.on('response', resolve)
    request.on('error', reject)
    request.end(content)
  })
}

async function readAll(response: IncomingMessage): Promise<string> {
  const tooLong = () => new TunnelError('PROTOCOL', 'The answer of the relay is too long.')
  return (await readLimited(response, ANSWER_MAX_BYTES, tooLong)).toString('utf8')
}

/** What the relay refuses with. It is printed on a terminal: nothing but plain text. */
function problemOf(status: number, text: string): TunnelError {
  const parsed = fromJson(text, problemSchema)
  if (!parsed.success) return notUnderstood(status)
  const { code, detail, next } = parsed.output
  return new TunnelError(code, printable(detail), { next: printable(next) })
}

function notUnderstood(status: number): TunnelError {
  return new TunnelError(
    'PROTOCOL',
    `The relay answered with status ${status} in a form that this command does not know.`,
    {
      next: 'is there a proxy on the way? compare versions: sallyport --version',
    },
  )
}
