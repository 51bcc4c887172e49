import type { Operation, OperationContext } from '../operations/operation.ts'

/**
 * A GET whose answer is written while it is made: live events, exports. Right, place and input are checked as for an
 * operation; the control channel does not have it.
 */
export interface StreamRoute<Input = unknown>
  extends Pick<Operation<Input>, 'name' | 'summary' | 'right' | 'isDangerous' | 'input' | 'place'> {
  readonly http: { readonly method: 'GET'; readonly path: `/${string}` }
  /** The member of the input, a whole number, that a browser which comes back says by `Last-Event-ID`: it counts before the query. */
  readonly lastEventId?: string
  readonly type:
    | 'text/event-stream'
    | 'text/csv; charset=utf-8'
    | 'application/json'
    | 'application/octet-stream'
  /**
   * Gives the parts of the answer. It is asked for the next one only when the connection has taken the last, and returned
   * (`finally` runs) when the other side leaves. `context.signal` aborts then, too.
   * @throws {TunnelError} before the first part: a problem document, but for `text/event-stream`, whose head goes at once; else the
   * connection breaks off
   */
  run(context: OperationContext, input: NoInfer<Input>): AsyncIterable<string | Uint8Array>
}

/** Says what a route is that answers by a stream; the type of its input follows from its schema. */
export function streamRoute<Input>(definition: StreamRoute<Input>): StreamRoute<Input> {
  return definition
}
