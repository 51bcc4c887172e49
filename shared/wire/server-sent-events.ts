import { TunnelError } from '../errors.ts'

/** One event of a stream of server-sent events. */
export interface ServerSentEvent {
  /** The last `id` so far; empty where none came yet. */
  readonly id: string
  /** Its lines of data. */
  readonly data: string
}

/** Longest event, in UTF-16 units. */
const EVENT_MAX = 1_048_576

/**
 * Reads server-sent events (WHATWG HTML section 9.2.6) out of bytes, however they are cut. What has no data is no event, but its id counts:
 * it comes as an event with empty data, so that the reader knows where to go on.
 * @throws {TunnelError} PROTOCOL where an event is too long
 */
export async function* serverSentEvents(
  chunks: AsyncIterable<Uint8Array>,
): AsyncGenerator<ServerSentEvent, void> {
  const decoder = new TextDecoder()
  let text = ''
  let id = ''
  for await (const chunk of chunks) {
    text += decoder.decode(chunk, { stream: true })
    const blocks = text.split(/\r?\n\r?\n/)
    text = blocks.pop() ?? ''
    if (text.length > EVENT_MAX) throw new TunnelError('PROTOCOL', 'An event of the stream is too long.')
    for (const block of blocks) {
      const fields = block.split(/\r?\n/).map(fieldOf)
      const given = fields.findLast(([name]) => name === 'id')
      id = given?.[1] ?? id
      const data = fields.filter(([name]) => name === 'data').map(([, value]) => value)
      if (given !== undefined || data.length > 0) yield { id, data: data.join('\n') }
    }
  }
}

function fieldOf(line: string): readonly [string, string] {
  const colon = line.indexOf(':')
  return colon < 0 ? [line, ''] : [line.slice(0, colon), line.slice(colon + 1).replace(/^ /, '')]
}
