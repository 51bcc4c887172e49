import { firstLine, foreign, type Hello } from './hello.ts'

/** Who asks for a password, or does not know the command, is there and well. */
const WELL = /^(?:\+PONG$|-NOAUTH\b|-NOPERM\b|-ERR unknown command\b)/

/** PING is answered before any login, or refused for want of one. */
export const redisHello: Hello = {
  ask: Buffer.from('PING\r\n'),
  read: (answer) => {
    const first = answer[0]
    if (first !== undefined && first !== 0x2b && first !== 0x2d) return foreign('Redis', answer)
    const line = firstLine(answer)
    if (line === undefined) return undefined
    if (WELL.test(line)) return { state: 'ok', note: 'Redis' }
    return line.startsWith('-')
      ? { state: 'failing', note: 'Redis refuses', said: line.slice(1) }
      : foreign('Redis', answer)
  },
}
