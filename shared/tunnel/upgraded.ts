import type net from 'node:net'

const EVENTS = ['data', 'end', 'close', 'error', 'drain'] as const

/**
 * Remembers who listens on `socket` now. The answer, called after the WebSocket library has finished its handshake, takes
 * away what the library added since, so that the tunnel reads and writes the frames itself (docs/performance.md) while
 * Node's own listeners stay.
 */
export function takeOverAfterHandshake(socket: net.Socket): () => void {
  const before = new Map(EVENTS.map((event) => [event, new Set(socket.listeners(event))]))
  return () => {
    for (const event of EVENTS) {
      for (const listener of socket.listeners(event)) {
        if (!before.get(event)?.has(listener))
          socket.removeListener(event, listener as (...args: unknown[]) => void)
      }
    }
  }
}
