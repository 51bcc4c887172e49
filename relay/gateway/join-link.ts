import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import { TunnelError } from '../../shared/errors.ts'
import { checkLinkHeader, LINK_HEADER } from '../../shared/identity/link-header.ts'
import { MAX_LINKS } from '../../shared/mux/link-growth.ts'
import { runFurtherLink } from '../../shared/tunnel/further-links.ts'
import { takeOverAfterHandshake } from '../../shared/tunnel/upgraded.ts'
import type { Principal } from '../authority/identify.ts'
import type { AcceptContext } from './accept.ts'
import type { LiveSession } from './sessions.ts'

/**
 * Upgrades an authenticated request and gives the connection to the session that it proves to belong to.
 * @throws {TunnelError} IDENTITY, or OVERLOADED where the session has as many links as it may
 */
export function joinLink(
  context: AcceptContext,
  request: IncomingMessage,
  head: Buffer,
  principal: Principal,
): void {
  const live = sessionOf(context, request, principal)
  if (live === undefined) throw new TunnelError('IDENTITY', 'There is no such session of yours.')
  const { session } = live
  if (session.linkCount >= MAX_LINKS) throw new TunnelError('OVERLOADED', 'The session has all its links.')
  const socket = request.socket as TLSSocket
  const release = takeOverAfterHandshake(socket)
  context.webSockets.handleUpgrade(request, socket, head, () => {
    release()
    const { effects, log } = context
    try {
      runFurtherLink(session, {
        socket,
        isClient: false,
        mask: 'zero',
        effects,
        onClosed: ({ code }) => log.debug({ session: live.name, code }, 'further link closed'),
      })
      log.debug({ session: live.name, links: session.linkCount }, 'further link')
    } catch (err) {
      // It ended while the answer was being written.
      log.debug({ session: live.name, err }, 'further link refused')
    }
  })
}

function sessionOf(
  { sessions }: AcceptContext,
  request: IncomingMessage,
  principal: Principal,
): LiveSession | undefined {
  const header = request.headers[LINK_HEADER]
  if (typeof header !== 'string') return undefined
  const own = (name: string) => {
    const live = sessions.find(name)
    return live !== undefined && isSame(live.principal, principal) ? live : undefined
  }
  const name = checkLinkHeader(header, (session) => own(session)?.linkKey)
  return name === undefined ? undefined : own(name)
}

/** The certificate may have been renewed since the session began. */
function isSame(one: Principal, other: Principal): boolean {
  return one.kind === other.kind && one.tenantId === other.tenantId && one.id === other.id
}
