import type net from 'node:net'
import { Duplex } from 'node:stream'
import { type Effects, realEffects } from '../../../shared/effects.ts'
import { Session } from '../../../shared/mux/session.ts'
import { createWindowBudget } from '../../../shared/mux/window.ts'
import { SessionSocket } from '../../../shared/tunnel/session-socket.ts'

/** The relay's end of a connection whose other end is this test. */
export function relayEnd(
  write: (bytes: Buffer, done: () => void) => void,
  { effects = realEffects, pingIntervalMs = 20_000 }: { effects?: Effects; pingIntervalMs?: number } = {},
) {
  const socket = new Duplex({
    read() {},
    write: (bytes: Buffer, _encoding, done) => write(bytes, done),
  })
  Object.assign(socket, { setNoDelay: () => socket })
  const session: Session = new Session({
    role: 'relay',
    budget: createWindowBudget(0),
    pingIntervalMs,
    now: effects.now(),
    handler: { greeted() {}, opening() {}, goAway() {}, wake: () => link.wake() },
  })
  const link: SessionSocket = new SessionSocket({
    socket: socket as unknown as net.Socket,
    session,
    isClient: false,
    mask: 'zero',
    effects,
    onClosed() {},
  })
  return { socket, session, link }
}
