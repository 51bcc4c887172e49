import { foreign, type Hello } from './hello.ts'

/** SSLRequest: length 8, code 80877103 (PostgreSQL's documentation, "Message Formats"). */
const SSL_REQUEST = Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47)

/**
 * Every PostgreSQL answers one letter. After `S` it waits for a handshake and logs a fault where none follows, so one does;
 * a client that leaves after it, or after `N`, is worth no line to it.
 */
export const postgresHello: Hello = {
  ask: SSL_REQUEST,
  read: (answer) => {
    const [letter] = answer
    if (letter === 0x53) return { state: 'ok', note: 'PostgreSQL, with TLS', startTls: true }
    if (letter === 0x4e) return { state: 'ok', note: 'PostgreSQL, without TLS' }
    // ErrorResponse, in the form of the oldest protocol: the letter, then text.
    if (letter === 0x45)
      return { state: 'failing', note: 'PostgreSQL refuses', said: answer.toString('latin1', 1) }
    return foreign('PostgreSQL', answer)
  },
}
