import { type ErrorCode, TunnelError } from '../errors.ts'
import { parseIp } from '../policy/ip.ts'
import { CredentialsRefused } from './proxy-hold.ts'
import { formatRoute, type ProxyCredentials, type ProxyRoute, type Target } from './route.ts'
import type { Step } from './step.ts'

/** What is to be done after some bytes came. */
export type SocksMove =
  | { readonly kind: 'wait' }
  | { readonly kind: 'send'; readonly bytes: Buffer }
  | { readonly kind: 'open'; readonly rest: Buffer }

export interface Socks5Options {
  readonly target: Target
  readonly proxy: ProxyRoute
  readonly credentials?: ProxyCredentials
  readonly onStep?: (step: Step) => void
}

const VERSION = 5
const METHOD = { none: 0, password: 2, noneFits: 0xff } as const
const ADDRESS = { ipv4: 1, name: 3, ipv6: 4 } as const

/** RFC 1928 section 6. */
const REPLIES: Readonly<Record<number, string>> = {
  1: 'general failure',
  2: 'its rules do not allow it',
  3: 'network unreachable',
  4: 'host unreachable',
  5: 'connection refused',
  6: 'TTL expired',
  7: 'it knows no CONNECT',
  8: 'it knows no addresses of this kind',
}

const EMPTY = Buffer.alloc(0)

/** The client's side of SOCKS5 (RFC 1928) with user and password (RFC 1929). Names are resolved at the proxy. */
export class Socks5 {
  readonly #options: Socks5Options
  #state: 'method' | 'password' | 'reply' = 'method'
  #received: Buffer = EMPTY

  constructor(options: Socks5Options) {
    this.#options = options
  }

  /** The first bytes on the connection. */
  begin(): Buffer {
    const methods = this.#options.credentials === undefined ? [METHOD.none] : [METHOD.none, METHOD.password]
    return Buffer.from([VERSION, methods.length, ...methods])
  }

  /**
   * Takes bytes from the proxy.
   * @throws {TunnelError} PROXY_AUTH, PROXY_REFUSED, PROXY_UNREACHABLE
   */
  push(chunk: Buffer): SocksMove {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    if (this.#received.length < 2) return { kind: 'wait' }
    if (this.#state === 'reply') return this.#reply()
    const [first = 0, second = 0] = this.#received
    this.#received = this.#received.subarray(2)
    return this.#state === 'method' ? this.#method(first, second) : this.#password(first, second)
  }

  #method(version: number, method: number): SocksMove {
    const { credentials, onStep } = this.#options
    if (version !== VERSION) throw this.#fault('PROXY_UNREACHABLE', 'What answers there is no SOCKS5 proxy.')
    if (method === METHOD.password && credentials !== undefined) {
      onStep?.({ kind: 'socks-method', method: 'password' })
      this.#state = 'password'
      return { kind: 'send', bytes: this.#login(credentials) }
    }
    if (method !== METHOD.none) {
      const text = 'It wants a user and a password, or a method that is not supported.'
      throw this.#fault('PROXY_AUTH', text)
    }
    onStep?.({ kind: 'socks-method', method: 'none' })
    return this.#ask()
  }

  #login({ user, password }: ProxyCredentials): Buffer {
    const parts = [Buffer.from(user, 'utf8'), Buffer.from(password.reveal(), 'utf8')]
    if (parts.some(({ length }) => length > 255)) {
      throw this.#fault('PROXY_AUTH', 'SOCKS5 takes no user or password of more than 255 bytes.')
    }
    return Buffer.concat([Buffer.from([1]), ...parts.flatMap((part) => [Buffer.from([part.length]), part])])
  }

  #password(version: number, status: number): SocksMove {
    if (version !== 1) throw this.#fault('PROXY_UNREACHABLE', 'It breaks RFC 1929.')
    if (status === 0) return this.#ask()
    const text = 'It does not take the user and the password that it was given (SOCKS5).'
    throw this.#fault('PROXY_AUTH', text, new CredentialsRefused())
  }

  #ask(): SocksMove {
    this.#state = 'reply'
    const { host, port } = this.#options.target
    const tail = Buffer.alloc(2)
    tail.writeUInt16BE(port)
    return { kind: 'send', bytes: Buffer.concat([Buffer.from([VERSION, 1, 0]), addressOf(host), tail]) }
  }

  #reply(): SocksMove {
    const [version, code = 1] = this.#received
    if (version !== VERSION) throw this.#fault('PROXY_UNREACHABLE', 'It breaks RFC 1928.')
    if (code !== 0) {
      throw this.#fault('PROXY_REFUSED', `It answered: ${REPLIES[code] ?? `code ${code}`}.`)
    }
    const length = this.#replyLength()
    if (length === undefined || this.#received.length < length) return { kind: 'wait' }
    return { kind: 'open', rest: this.#received.subarray(length) }
  }

  /** Of the whole reply; undefined where it cannot be said yet. */
  #replyLength(): number | undefined {
    const kind = this.#received[3]
    if (kind === ADDRESS.ipv4) return 10
    if (kind === ADDRESS.ipv6) return 22
    if (kind === ADDRESS.name) {
      const named = this.#received[4]
      return named === undefined ? undefined : 7 + named
    }
    if (kind === undefined) return undefined
    throw this.#fault('PROXY_UNREACHABLE', 'It breaks RFC 1928.')
  }

  #fault(code: ErrorCode, text: string, cause?: Error): TunnelError {
    return new TunnelError(code, `${formatRoute(this.#options.proxy)}: ${text}`, { cause })
  }
}

/** ATYP and address of RFC 1928 section 5. */
function addressOf(host: string): Buffer {
  const ip = parseIp(host)
  if (ip === undefined)
    return Buffer.concat([Buffer.from([ADDRESS.name, host.length]), Buffer.from(host, 'ascii')])
  const bytes = ip.family === 4 ? 4 : 16
  const hex = ip.bits.toString(16).padStart(bytes * 2, '0')
  return Buffer.concat([
    Buffer.from([ip.family === 4 ? ADDRESS.ipv4 : ADDRESS.ipv6]),
    Buffer.from(hex, 'hex'),
  ])
}
