import type { Socket } from 'node:net'
import { type Hello, MAX_ANSWER_BYTES, type Reading } from './hello.ts'

/**
 * Says hello on a connected socket and reads until the answer means something. Takes no more than 1,024 bytes; the socket
 * stays open and paused, and is the caller's.
 * @param limit its end is a result too: the target gave no answer
 */
export function converse(socket: Socket, hello: Hello, limit: AbortSignal): Promise<Reading> {
  return new Promise((resolve) => {
    let answer = Buffer.alloc(0)
    const finish = (reading: Reading) => {
      limit.removeEventListener('abort', onSilence)
      socket.off('data', onData)
      socket.pause()
      resolve(reading)
    }
    const without = (note: string, code?: 'TARGET_RESET') => {
      const said = answer.toString('latin1')
      finish(hello.silence ?? { state: 'failing', note, said, ...(code !== undefined && { code }) })
    }
    const onSilence = () => without('takes the connection and gives no answer')
    const onData = (chunk: Buffer) => {
      answer = Buffer.concat([answer, chunk.subarray(0, MAX_ANSWER_BYTES - answer.length)])
      const reading = hello.read(answer)
      if (reading !== undefined) finish(reading)
      else if (answer.length === MAX_ANSWER_BYTES) without('the answer has no end')
    }
    limit.addEventListener('abort', onSilence, { once: true })
    socket.on('data', onData)
    socket.once('end', () => without('closes the connection without an answer'))
    socket.once('error', () => without('breaks the connection', 'TARGET_RESET'))
    if (limit.aborted) onSilence()
    else if (hello.ask !== undefined) socket.write(hello.ask)
  })
}
