import type { OutgoingHttpHeaders } from 'node:http'
import https from 'node:https'
import type { Role } from '../../relay/access/rights.ts'
import type { ApiCaller, Authenticator } from '../../relay/api/caller.ts'
import type { Assignment } from '../../relay/operations/operation.ts'
import { relayTlsOptions } from '../../shared/identity/relay-tls.ts'
import { type KitOptions, type RelayKit, startKit } from './relay-kit.ts'

/** What a request of a test holds beside its method and path. */
export interface ApiAsk {
  readonly headers?: Readonly<Record<string, string | string[]>>
  /** An object goes as JSON, a text as it is. */
  readonly body?: object | string | Buffer
  /** The token that is shown; nothing without one. */
  readonly token?: string
  /** The session that is shown, in its cookie. */
  readonly session?: string
}

export interface ApiAnswer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  /** The body as JSON; an empty object where it is none. */
  readonly body: Readonly<Record<string, unknown>>
}

/** Callers of tests: a token or session with the same text, and no login. */
export class TestCallers {
  readonly #callers = new Map<string, ApiCaller>()

  readonly authenticator: Authenticator = async ({ secret }) => this.#callers.get(secret.reveal())

  /** Lets a token stand for a person who logged in just now and holds a role in all of a tenant. @returns the token */
  add(token: string, assignments: readonly Assignment[], changes: Partial<ApiCaller> = {}): string {
    const [{ tenantId } = { tenantId: 'default' }] = assignments
    const base = {
      kind: 'person',
      id: token,
      via: 'session',
      authenticatedAt: Number.MAX_SAFE_INTEGER,
    } as const
    this.#callers.set(token, { ...base, tenantId, assignments, ...changes })
    return token
  }

  /** As {@link add}, for one role in a whole tenant. */
  withRole(role: Role, tenantId = 'default'): string {
    return this.add(`${role}-${tenantId}`, [{ tenantId, role }])
  }

  remove(token: string): void {
    this.#callers.delete(token)
  }
}

export interface ApiKit extends AsyncDisposable {
  readonly kit: RelayKit
  readonly callers: TestCallers
  /** A path behind `/api/v1`, or a whole one where it begins with `!`. */
  ask(method: string, path: string, ask?: ApiAsk): Promise<ApiAnswer>
}

/** A relay whose API takes the tokens of {@link TestCallers}. */
export async function startApiKit(options: KitOptions = {}): Promise<ApiKit> {
  const callers = new TestCallers()
  const generous = { callerBurst: 100_000, addressBurst: 100_000 }
  const kit = await startKit({ apiLimits: generous, ...options, authenticators: [callers.authenticator] })
  return {
    kit,
    callers,
    ask: (method, path, ask = {}) =>
      askApi(kit, method, path.startsWith('!') ? path.slice(1) : `/api/v1${path}`, ask),
    [Symbol.asyncDispose]: () => kit[Symbol.asyncDispose](),
  }
}

async function askApi(kit: RelayKit, method: string, path: string, ask: ApiAsk): Promise<ApiAnswer> {
  const body =
    typeof ask.body === 'object' && !Buffer.isBuffer(ask.body) ? JSON.stringify(ask.body) : ask.body
  const request = https.request({
    host: '127.0.0.1',
    port: kit.port,
    ...relayTlsOptions({ serverName: '127.0.0.1', ca: kit.relay.authority.authority.certificate.toString() }),
    agent: false,
    method,
    path,
    headers: headersOf(ask),
  })
  const { promise, resolve, reject } = Promise.withResolvers<ApiAnswer>()
  request.on('error', reject)
  request.on('response', async (response) => {
    const chunks: Buffer[] = []
    for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
    const text = Buffer.concat(chunks).toString()
    const isJson = /json/.test(response.headers['content-type'] ?? '') && text !== ''
    resolve({
      status: response.statusCode ?? 0,
      headers: response.headers,
      text,
      body: isJson ? (JSON.parse(text) as Record<string, unknown>) : {},
    })
  })
  request.end(body)
  return promise
}

function headersOf({ headers = {}, body, token, session }: ApiAsk): OutgoingHttpHeaders {
  return {
    ...(body === undefined
      ? {}
      : { 'content-type': 'application/json', 'content-length': `${lengthOf(body)}` }),
    ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
    ...(session === undefined ? {} : { cookie: `__Host-sallyport=${session}` }),
    ...headers,
  }
}

function lengthOf(body: object | string | Buffer): number {
  if (Buffer.isBuffer(body)) return body.length
  return Buffer.byteLength(typeof body === 'string' ? body : JSON.stringify(body))
}
