import type { Socket } from 'node:net'
import type { Effects } from '../../shared/effects.ts'

/** An empty WebSocket PING with a mask of zeros (RFC 6455 section 5.5.2). */
const PING = Buffer.from([0x89, 0x80, 0, 0, 0, 0])

/** First byte of a PONG. */
const PONG = 0x8a

export interface PingOptions {
  readonly effects: Pick<Effects, 'now' | 'after'>
  readonly signal: AbortSignal
  /** Longest wait, in ms. */
  readonly limitMs: number
}

/**
 * Sends a PING over an upgraded connection on which nothing else is said.
 * @returns the round trip in ms; undefined where no PONG came in time or the connection ended
 */
export function pingOver(
  socket: Socket,
  { effects, signal, limitMs }: PingOptions,
): Promise<number | undefined> {
  const began = effects.now()
  return new Promise((resolve) => {
    const finish = (ms: number | undefined) => {
      cancel()
      signal.removeEventListener('abort', onEnd)
      socket.off('data', onData).off('close', onEnd)
      resolve(ms)
    }
    const onEnd = () => finish(undefined)
    const onData = (chunk: Buffer) =>
      finish(chunk[0] === PONG ? Math.round(effects.now() - began) : undefined)
    const cancel = effects.after(limitMs, onEnd)
    signal.addEventListener('abort', onEnd, { once: true })
    socket.on('error', () => undefined)
    socket.on('data', onData).once('close', onEnd)
    socket.resume()
    if (socket.destroyed) onEnd()
    else socket.write(PING)
  })
}
