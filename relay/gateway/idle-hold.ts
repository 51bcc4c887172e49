import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'
import type { WebSocketServer } from 'ws'
import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { Principal } from '../authority/identify.ts'
import type { OwnedConnection, Sessions } from './sessions.ts'

/** Connections that one agent may have held idle at a time: `agent doctor` measures with one for each length. */
const HOLDS_PER_AGENT = 16

/** Longest that an idle connection is held, in ms. */
const HOLD_MS = 65 * 60_000

/** How long the closing handshake may take, in ms. */
const CLOSE_TIMEOUT_MS = 2_000

/** Closing status of RFC 6455 section 7.4.1: what came is against the rules here. */
const POLICY_VIOLATION = 1_008

export interface IdleHoldContext {
  readonly effects: Pick<Effects, 'after'>
  readonly sessions: Sessions
  readonly webSockets: WebSocketServer
}

/**
 * Upgrades an agent's request and then says nothing, so that the agent can find out after how much silence the path
 * between both is cut (docs/protocol.md section 1). A WebSocket PING is answered; a message ends it.
 */
export function holdIdle(
  context: IdleHoldContext,
  request: IncomingMessage,
  head: Buffer,
  principal: Principal,
): void {
  const { effects, sessions, webSockets } = context
  const socket = request.socket as TLSSocket
  // The probes of TCP itself would keep the path awake, which is what is to be found out.
  socket.setKeepAlive(false)
  webSockets.handleUpgrade(request, socket, head, (webSocket) => {
    const connection: OwnedConnection = {
      principal,
      close: (error: TunnelError) => {
        webSocket.close(POLICY_VIOLATION, error.code)
        effects.after(CLOSE_TIMEOUT_MS, () => webSocket.terminate())
      },
    }
    const cancel = effects.after(HOLD_MS, () => webSocket.close())
    webSocket.on('error', () => webSocket.terminate())
    webSocket.on('message', () => connection.close(new TunnelError('PROTOCOL')))
    webSocket.on('close', () => {
      cancel()
      sessions.untrack(connection)
    })
    if (sessions.track(connection) > HOLDS_PER_AGENT) connection.close(new TunnelError('OVERLOADED'))
  })
}
