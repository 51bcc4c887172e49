import type https from 'node:https'
import type net from 'node:net'
import type { TLSSocket } from 'node:tls'
import type { Effects } from '../../shared/effects.ts'
import { isTunnelError, type TunnelError } from '../../shared/errors.ts'
import type { Logger } from '../../shared/log.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import type { StreamHandler } from '../../shared/mux/stream-handler.ts'
import { nameSource, sourceAddress } from '../../shared/tunnel/source-address.ts'
import { Splice } from '../../shared/tunnel/splice.ts'
import type { Arrive } from '../../shared/tunnel/tcp-listener.ts'
import { ClientHelloReader, type ClientHelloView } from '../../shared/wire/client-hello.ts'
import { looksLikeProxyHeader } from '../../shared/wire/proxy-protocol.ts'
import type { Admission, Ticket } from './admission.ts'
import { occasionally } from './occasionally.ts'

/** Opens the stream to the resource of a passed-through name. @throws {TunnelError} where it cannot */
export type PassThrough = (handler: StreamHandler, sourceAddress: string) => Stream

export interface FrontDoorOptions {
  readonly admission: Admission
  readonly arrive: Arrive
  readonly effects: Pick<Effects, 'after'>
  readonly log: Logger
  /** What is published under a name that TLS asks for (lower case); undefined: the relay's own TLS answers. */
  readonly passThrough: (serverName: string) => PassThrough | undefined
}

/** What the server behind the door asks it. */
export interface FrontDoor {
  /** The place of a connection in the counts; undefined where it is closed already. */
  ticketOf(socket: net.Socket): Ticket | undefined
  /** Closes every connection that is still pending. */
  closePending(): void
}

interface Guest {
  readonly socket: net.Socket
  readonly ticket: Ticket
  readonly cancelDeadline: () => void
  /** The TLS handshake is done. */
  readonly secured: () => void
  /** Takes it out of all counts; to be called when its connection is closed. */
  readonly leave: () => void
}

type Serve = (socket: net.Socket) => void

/** Where a connection goes that is not passed through. */
interface Behind {
  readonly serve: Serve
  /** Told of who sends the header of a proxy that the relay does not expect, which is no TLS. */
  readonly noteUninvited: (source: string) => void
}

/** A connection of which it is known whose it is. */
interface Arrived {
  readonly guest: Guest
  readonly source: string
  /** What was read of it already. */
  readonly first: Uint8Array
}

/** Node throws what nobody listens for; the reasons of such errors are told by 'close' or by the TLS socket above. */
const ignore = () => undefined

/**
 * Puts itself before the TLS of `server`: counts each connection, reads its ClientHello, and either hands it on untouched
 * or, for a passed-through name, joins it to a stream, so that TLS goes from the client to the target and the relay sees
 * ciphertext only. It takes the server's own place as listener instead of a listener of its own, because node:http
 * begins to watch for slow headers when its own server listens. The TCP handle stays native in both ways: TLS sits on
 * it directly, and what was read is pushed back first (which node reads before anything else, as for any STARTTLS).
 */
export function guardFrontDoor(server: https.Server, options: FrontDoorOptions): FrontDoor {
  const guests = new Map<string, Guest>()
  const listeners = server.listeners('connection') as Serve[]
  const serve: Serve = (socket) => {
    for (const listener of listeners) listener.call(server, socket)
  }
  const noteUninvited = occasionally(options.effects, (source: string, count) => {
    options.log.info(
      { source, count },
      'PROXY headers from an address that --proxy-from does not list: refused',
    )
  })
  server.removeAllListeners('connection')
  server.on('connection', (socket: net.Socket) => {
    const guest = admit(options, guests, socket)
    if (guest === undefined) return
    options.arrive(socket, (source, first) => {
      nameSource(socket, source)
      if (guest.ticket.locate(source)) peek(options, { guest, source, first }, { serve, noteUninvited })
      else socket.resetAndDestroy()
    })
  })
  server.on('secureConnection', (socket: TLSSocket) => {
    const guest = guests.get(connectionKey(socket))
    // Closed below already; whose it was is forgotten.
    if (guest === undefined) socket.destroy()
    else {
      nameSource(socket, sourceAddress(guest.socket))
      guest.secured()
    }
  })
  return {
    ticketOf: (socket) => guests.get(connectionKey(socket))?.ticket,
    closePending() {
      for (const { socket, ticket } of [...guests.values()]) {
        if (ticket.standing === 'pending') socket.destroy()
      }
    },
  }
}

/** Counts the connection and starts its deadline; one that is too many is reset, which leaves nothing behind here. */
function admit(options: FrontDoorOptions, guests: Map<string, Guest>, socket: net.Socket): Guest | undefined {
  socket.on('error', ignore)
  const address = socket.remoteAddress
  const ticket = address === undefined ? undefined : options.admission.enter(address)
  if (address === undefined || ticket === undefined) {
    socket.resetAndDestroy()
    return undefined
  }
  const key = connectionKey(socket)
  const { handshakeMs, headersMs, bodyMs, answerMs } = options.admission.limits
  const end = () => {
    if (ticket.standing === 'pending') socket.destroy()
  }
  let cancel = options.effects.after(handshakeMs, end)
  const cancelDeadline = () => cancel()
  const secured = () => {
    cancel()
    // Headers and body have deadlines of their own, with answers; this is for who takes the answer and stays.
    cancel = options.effects.after(headersMs + bodyMs + answerMs, end)
  }
  const leave = () => {
    cancelDeadline()
    ticket.leave()
    if (guests.get(key) === guest) guests.delete(key)
  }
  const guest: Guest = { socket, ticket, cancelDeadline, secured, leave }
  guests.set(key, guest)
  socket.once('close', leave)
  return guest
}

/** Remote and local end; the same for a socket and the TLS above it. */
function connectionKey({ remoteAddress, remotePort, localAddress }: net.Socket): string {
  return `${remoteAddress} ${remotePort} ${localAddress}`
}

/** Reads until the ClientHello is whole. */
function peek(
  options: FrontDoorOptions,
  { guest, source, first }: Arrived,
  { serve, noteUninvited }: Behind,
): void {
  const { socket } = guest
  const reader = new ClientHelloReader()
  const chunks: Uint8Array[] = []
  let view: ClientHelloView = 'more'
  const onData = (chunk: Uint8Array) => {
    chunks.push(chunk)
    view = reader.push(chunk)
    if (view === 'more') return
    socket.removeListener('data', onData)
    socket.pause()
    const bytes = Buffer.concat(chunks)
    const name = view === 'not-tls' ? undefined : view.serverName
    const open = name === undefined ? undefined : options.passThrough(name)
    if (open !== undefined) passThrough(options, { guest, source, first: bytes }, open)
    else {
      if (view === 'not-tls' && looksLikeProxyHeader(bytes)) noteUninvited(source)
      socket.unshift(bytes)
      serve(socket)
    }
  }
  onData(first)
  if (view !== 'more') return
  socket.on('data', onData)
  socket.resume()
}

/** Joins the connection to a stream that begins with what was read already. */
function passThrough({ log }: FrontDoorOptions, { guest, source, first }: Arrived, open: PassThrough): void {
  const { socket, ticket } = guest
  guest.cancelDeadline()
  if (!ticket.visit()) {
    socket.resetAndDestroy()
    return
  }
  const onClosed = (error: TunnelError | null) => {
    log.debug({ source, code: error?.code ?? 'OK' }, 'passed-through connection closed')
  }
  const splice = new Splice({ brokenCode: 'CANCELLED', onClosed })
  let stream: Stream
  try {
    stream = open(splice, source)
  } catch (error) {
    socket.resetAndDestroy()
    if (!isTunnelError(error)) throw error
    onClosed(error)
    return
  }
  splice.stream = stream
  stream.write(first)
  // It came in with the manners of HTTPS.
  socket.allowHalfOpen = true
  splice.reader.attach(socket)
  splice.attach(socket)
}
