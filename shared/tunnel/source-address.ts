import type net from 'node:net'
import { canonicalAddress } from '../policy/address.ts'

/** Whose connection it is, where a proxy that may say so has said it, or where TLS hides the connection below. */
const named = new WeakMap<net.Socket, string>()

/** The address of a connection that is closed already. */
export const UNKNOWN = 'unknown'

/** Says whose connection `socket` is: an address in canonical form. */
export function nameSource(socket: net.Socket, address: string): void {
  named.set(socket, address)
}

/**
 * The one address that limits, restrictions, records and headers go by: of the client's end of the connection, or what a
 * listed proxy said of it; never from what the client itself sends. IPv4 in its plain form, without a zone; {@link UNKNOWN}
 * on a connection that is closed already.
 */
export function sourceAddress(socket: net.Socket): string {
  const { remoteAddress, remoteFamily } = socket
  // The system writes IPv4 in its plain form already.
  const plain =
    remoteFamily === 'IPv4' ? remoteAddress : remoteAddress && canonicalAddress(remoteAddress)?.dial
  return named.get(socket) ?? plain ?? UNKNOWN
}
