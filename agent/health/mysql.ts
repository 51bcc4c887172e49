import { foreign, type Hello } from './hello.ts'

const HEADER_BYTES = 4
const PROTOCOL_VERSION = 10
const ERROR_PACKET = 0xff

/**
 * MySQL and MariaDB greet first. The server counts a client that leaves after the greeting, and blocks a host after
 * `max_connect_errors` of them in a row (100 by default), so it is asked far less often than others: see schedule.ts.
 */
export const mysqlHello: Hello = {
  read: (answer) => {
    if (answer.length <= HEADER_BYTES) return undefined
    const isFirst = answer[3] === 0
    const kind = answer[HEADER_BYTES]
    if (isFirst && kind === PROTOCOL_VERSION) {
      const end = answer.indexOf(0, HEADER_BYTES + 1)
      if (end === -1) return undefined
      return { state: 'ok', note: 'MySQL', said: answer.toString('latin1', HEADER_BYTES + 1, end) }
    }
    if (!isFirst || kind !== ERROR_PACKET) return foreign('MySQL', answer)
    const end = HEADER_BYTES + answer.readUIntLE(0, 3)
    if (answer.length < end) return undefined
    const code = answer.length >= HEADER_BYTES + 3 ? answer.readUInt16LE(HEADER_BYTES + 1) : 0
    const text = answer.toString('latin1', HEADER_BYTES + 3, end)
    return { state: 'failing', note: `MySQL refuses with error ${code}`, said: text }
  },
}
