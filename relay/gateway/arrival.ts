import type net from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import type { Logger } from '../../shared/log.ts'
import { type Cidr, cidrContains } from '../../shared/policy/cidr.ts'
import { parseIp } from '../../shared/policy/ip.ts'
import { sourceAddress, UNKNOWN } from '../../shared/tunnel/source-address.ts'
import type { Arrive } from '../../shared/tunnel/tcp-listener.ts'
import { ProxyHeaderReader } from '../../shared/wire/proxy-protocol.ts'
import { occasionally } from './occasionally.ts'

/** How long a proxy may take for its header, in ms; the protocol wants it to be sent at once, and retries of TCP to be outlasted. */
const HEADER_MS = 5_000

const NOTHING = new Uint8Array(0)

export interface ArrivalOptions {
  /** Where the proxies are that bring the connections of others. */
  readonly proxies: readonly Cidr[]
  readonly effects: Pick<Effects, 'after'>
  readonly log: Logger
}

/**
 * From a listed proxy the header of the PROXY protocol is required; nobody else's first bytes are looked at, so that a
 * header from them is what it is to TLS: no ClientHello.
 */
export function createArrive({ proxies, effects, log }: ArrivalOptions): Arrive {
  const noteRefusal = occasionally(effects, (first: { proxy: string; reason: string }, refused) => {
    log.warn({ ...first, refused }, 'connections of a listed proxy refused: it must send the PROXY protocol')
  })
  return (socket, arrived) => {
    const peer = sourceAddress(socket)
    // Broken before it was accepted: nobody can say whether it came from a listed proxy.
    if (peer === UNKNOWN) return void socket.destroy()
    if (!isWithin(proxies, peer)) return arrived(peer, NOTHING)
    readHeader(socket, effects, (header) => {
      if (!('refused' in header)) return arrived(header.source ?? peer, header.rest)
      noteRefusal({ proxy: peer, reason: header.refused })
      socket.resetAndDestroy()
    })
  }
}

function isWithin(ranges: readonly Cidr[], address: string): boolean {
  const ip = ranges.length === 0 ? undefined : parseIp(address)
  return ip !== undefined && ranges.some((range) => cidrContains(range, ip))
}

type Header = { readonly refused: string } | { readonly source?: string; readonly rest: Uint8Array }

/** Tells of nothing where the connection ends first: balancers look in that way whether somebody listens. */
function readHeader(
  socket: net.Socket,
  effects: Pick<Effects, 'after'>,
  done: (header: Header) => void,
): void {
  const reader = new ProxyHeaderReader()
  const finish = (header: Header) => {
    cancel()
    socket.removeListener('data', onData)
    socket.removeListener('end', onEnd)
    socket.removeListener('close', cancel)
    socket.pause()
    done(header)
  }
  const onData = (chunk: Buffer) => {
    const view = reader.push(chunk)
    if (view !== 'more') finish(view)
  }
  const onEnd = () => socket.destroy()
  const ignore = () => undefined
  const cancel = effects.after(HEADER_MS, () =>
    finish({ refused: `no whole header in ${HEADER_MS / 1_000} s` }),
  )
  socket.on('data', onData)
  socket.on('end', onEnd)
  // Told by 'close'; who takes the socket over has a listener of its own.
  socket.on('error', ignore)
  socket.once('close', cancel)
  // A listener for streams pauses what it accepts.
  socket.resume()
}
