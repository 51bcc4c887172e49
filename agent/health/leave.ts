import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'

/** Milliseconds that a target has to end the conversation in its own way. */
const LEAVE_MS = 1_000

/**
 * Ends a conversation as its protocol wants it, so that the target logs no broken one; the connection is over after a
 * second at the latest. Whatever else the target says is not read, unless it is the answer to `bye`.
 */
export function leave(socket: Socket, effects: Pick<Effects, 'after'>, bye?: Uint8Array): void {
  const cancel = effects.after(LEAVE_MS, () => socket.destroy())
  socket.once('close', cancel)
  if (bye === undefined) socket.end(() => socket.destroy())
  else socket.resume().end(bye)
}
