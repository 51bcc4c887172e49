import type { Effects } from '../effects.ts'
import { TunnelError, type TunnelErrorOptions } from '../errors.ts'
import { PRODUCT_VERSION } from '../version.ts'
import { formatHostPort } from '../wire/host-port.ts'
import { type Challenge, parseChallenges } from './challenge.ts'
import { type AnswerHead, type Body, printable, skipBody, takeHead } from './proxy-answer.ts'
import { chooseProxyAuth, describeSchemes, type ProxyAuth } from './proxy-auth.ts'
import { CredentialsRefused } from './proxy-hold.ts'
import { formatRoute, type ProxyCredentials, type ProxyRoute, type Target } from './route.ts'
import type { Step } from './step.ts'

/** What is to be done after some bytes came. */
export type ConnectMove =
  /** Wait for more. */
  | { readonly kind: 'wait' }
  /** Send this on the same connection. */
  | { readonly kind: 'send'; readonly bytes: Buffer }
  /** Close, connect anew, and send what `begin` says then. */
  | { readonly kind: 'reconnect' }
  /** The way is open; `rest` are the first bytes from the target. */
  | { readonly kind: 'open'; readonly rest: Buffer }

export interface HttpConnectOptions {
  readonly target: Target
  readonly proxy: ProxyRoute
  readonly credentials?: ProxyCredentials
  readonly effects: Pick<Effects, 'randomBytes' | 'date'>
  /** Told of each answer. */
  readonly onStep?: (step: Step) => void
}

/** Most answers that are read on the way to one target. */
const MAX_ANSWERS = 8

const EMPTY = Buffer.alloc(0)

/** The client's side of CONNECT (RFC 9110 section 9.3.6), over as many answers 407 as the proxy's scheme takes. */
export class HttpConnect {
  readonly #options: HttpConnectOptions
  readonly #authority: string
  #auth: ProxyAuth | undefined
  #authorization: string | undefined
  #received: Buffer = EMPTY
  /** The body that is being skipped. */
  #body: Body | undefined
  #answers = 0

  constructor(options: HttpConnectOptions) {
    this.#options = options
    this.#authority = formatHostPort(options.target.host, options.target.port)
  }

  /** The first bytes on a new connection. */
  begin(): Buffer {
    this.#received = EMPTY
    this.#body = undefined
    return this.#request()
  }

  /**
   * Takes bytes from the proxy.
   * @throws {TunnelError} PROXY_AUTH, PROXY_REFUSED, PROXY_UNREACHABLE
   */
  push(chunk: Buffer): ConnectMove {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    for (;;) {
      if (this.#body !== undefined) return this.#skip(this.#body)
      const taken = takeHead(this.#received)
      if (taken === undefined) return { kind: 'wait' }
      this.#received = taken.rest
      const { status } = taken.head
      // An interim answer (RFC 9110 section 15.2) says nothing yet.
      if (status < 200) this.#count()
      else if (status < 300) return this.#opened(taken.head)
      else {
        this.#refused(taken.head)
        this.#body = taken.body
        if (taken.body.kind === 'close') return this.#reconnect()
      }
    }
  }

  #request(): Buffer {
    const lines = [
      `CONNECT ${this.#authority} HTTP/1.1`,
      `Host: ${this.#authority}`,
      `User-Agent: sallyport/${PRODUCT_VERSION}`,
      // Old proxies keep the connection for NTLM only where this asks for it.
      'Proxy-Connection: keep-alive',
    ]
    if (this.#authorization !== undefined) lines.push(`Proxy-Authorization: ${this.#authorization}`)
    return Buffer.from(`${lines.join('\r\n')}\r\n\r\n`, 'latin1')
  }

  #skip(body: Body): ConnectMove {
    const rest = skipBody(body, this.#received)
    if (rest === undefined) return { kind: 'wait' }
    this.#received = rest
    this.#body = undefined
    return { kind: 'send', bytes: this.#request() }
  }

  #reconnect(): ConnectMove {
    if (this.#auth?.isBound !== true) return { kind: 'reconnect' }
    throw this.#fault('It closes the connection between two rounds of NTLM.')
  }

  #opened(head: AnswerHead): ConnectMove {
    this.#tell(head, [])
    return { kind: 'open', rest: this.#received }
  }

  /** Prepares the next request, or gives up. */
  #refused(head: AnswerHead): void {
    this.#count()
    const challenges = head.status === 407 ? parseChallenges(head.values('proxy-authenticate')) : []
    this.#tell(head, challenges)
    // Some say 401 where they mean 407 (tinyproxy does to a wrong password).
    if (head.status === 401 && this.#authorization !== undefined) throw this.#notTaken()
    if (head.status !== 407) throw this.#notOpened(head)
    const { credentials, effects } = this.#options
    if (credentials === undefined) throw this.#authFault(`It offers ${listed(challenges)}.`)
    this.#auth ??= chooseProxyAuth(challenges, { credentials, effects, authority: this.#authority })
    if (this.#auth === undefined) {
      throw this.#authFault(`It offers ${listed(challenges)}; NTLM, Digest and Basic are supported.`)
    }
    this.#authorization = this.#auth.answer(challenges)
    if (this.#authorization === undefined) throw this.#notTaken()
  }

  #notTaken(): TunnelError {
    const text = `It does not take the user and the password that it was given (${this.#auth?.scheme}).`
    return this.#authFault(text, {
      cause: new CredentialsRefused(),
      next: 'put the right USER:PASSWORD into the credentials file; the next attempt is minutes away, so that the account is not locked',
    })
  }

  #count(): void {
    if (++this.#answers > MAX_ANSWERS) throw this.#fault('It asks again and again.')
  }

  #tell(head: AnswerHead, challenges: readonly Challenge[]): void {
    const server = head.values('server')[0] ?? head.values('via')[0]
    const used = this.#authorization === undefined ? undefined : this.#auth?.scheme
    this.#options.onStep?.({
      kind: 'proxy-answer',
      status: head.status,
      schemes: describeSchemes(challenges),
      ...(used === undefined ? {} : { used }),
      ...(server === undefined ? {} : { server: printable(server) }),
    })
  }

  #notOpened(head: AnswerHead): TunnelError {
    const why = head.values('x-squid-error')[0]
    const more = why === undefined ? '' : ` (${printable(why)})`
    return new TunnelError(
      'PROXY_REFUSED',
      `${formatRoute(this.#options.proxy)} answered CONNECT ${this.#authority} with ${head.status} ${head.reason}${more}.`,
      // What it thinks of the password is not known: to be safe it counts as refused. A gateway's error comes after that.
      this.#authorization === undefined || head.status >= 500 ? {} : { cause: new CredentialsRefused() },
    )
  }

  #authFault(text: string, options: TunnelErrorOptions = {}): TunnelError {
    return new TunnelError('PROXY_AUTH', `${formatRoute(this.#options.proxy)}: ${text}`, options)
  }

  #fault(text: string): TunnelError {
    return new TunnelError('PROXY_UNREACHABLE', `${formatRoute(this.#options.proxy)}: ${text}`)
  }
}

function listed(challenges: readonly Challenge[]): string {
  const schemes = describeSchemes(challenges)
  return schemes.length === 0 ? 'no scheme that could be read' : schemes.join(', ')
}
