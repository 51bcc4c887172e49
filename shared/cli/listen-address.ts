import { isIPv6 } from 'node:net'
import { TunnelError } from '../errors.ts'

/** Where to listen. */
export interface ListenAddress {
  /** A name or an address, IPv6 without brackets. */
  readonly host: string
  /** 0 to 65535; 0 lets the system choose. */
  readonly port: number
}

const NAME_OR_IPV4 = /^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$/
const PORT = /^(0|[1-9][0-9]{0,4})$/

/**
 * Reads HOST:PORT as `--listen` and `--tcp` take it: `127.0.0.1:0`, `localhost:5432`, `[::1]:5432`. The host is
 * never left out, so that nobody listens on every interface by accident.
 * @throws {TunnelError} USAGE for any other form
 */
export function parseListenAddress(text: string): ListenAddress {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, Math.max(colon, 0))
  const port = text.slice(colon + 1)
  const bare = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  const isHost = bare === host ? NAME_OR_IPV4.test(host) : isIPv6(bare)
  if (!isHost || !PORT.test(port) || Number(port) > 65_535) {
    throw new TunnelError(
      'USAGE',
      `"${text.slice(0, 80)}" is no address to listen on; write HOST:PORT, as in 127.0.0.1:0 or [::1]:5432.`,
    )
  }
  return { host: bare, port: Number(port) }
}
