import type net from 'node:net'
import type pg from 'pg'

/** The part of the driver's connection that COPY needs; it has no types of its own. */
interface CopyConnection {
  readonly stream: net.Socket
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

interface CopySteps {
  /** The server waits for rows. */
  readonly onReady?: (connection: CopyConnection) => void
  readonly onData?: (chunk: Buffer) => void
}

/** Sends `rows` as the standard input of a COPY ... FROM STDIN, no faster than they are taken. */
export function copyIn(client: pg.Client, text: string, rows: Iterable<Buffer>): Promise<void> {
  return submit(client, text, {
    onReady: (connection) => {
      const next = rows[Symbol.iterator]()
      const send = () => {
        for (let row = next.next(); !row.done; row = next.next()) {
          connection.sendCopyFromChunk(row.value)
          if (connection.stream.writableNeedDrain) {
            connection.stream.once('drain', send)
            return
          }
        }
        connection.endCopyFrom()
      }
      send()
    },
  })
}

/** Gives `onData` what a COPY ... TO STDOUT says. */
export function copyOut(client: pg.Client, text: string, onData: (chunk: Buffer) => void): Promise<void> {
  return submit(client, text, { onData })
}

/** A query of our own: the driver calls it back for each message of the server. */
function submit(client: pg.Client, text: string, { onReady, onData }: CopySteps): Promise<void> {
  return new Promise((resolve, reject) => {
    client.query({
      submit: (connection: unknown) => (connection as CopyConnection).query(text),
      handleCopyInResponse: (connection: CopyConnection) => onReady?.(connection),
      handleCopyData: ({ chunk }: { chunk: Buffer }) => onData?.(chunk),
      handleCommandComplete() {},
      handleReadyForQuery: () => resolve(),
      handleError: (error: Error) => reject(error),
    } as unknown as pg.Submittable)
  })
}
