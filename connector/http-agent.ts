import { Agent, type AgentOptions } from 'node:http'
import type { Duplex } from 'node:stream'

/** Opens a stream to one resource; it takes writes at once. */
export type Connect = () => Duplex

/**
 * An `http.Agent` whose connections are streams to one resource. The host of a URL only names the Host header:
 * wherever it points, the stream goes to the resource. Kept-alive streams are used again for the same host and
 * port only, and never outside this agent, so two principals with an agent each never share one.
 */
export class TunnelHttpAgent extends Agent {
  readonly #connect: Connect

  constructor(connect: Connect, options: AgentOptions = {}) {
    super({ keepAlive: true, maxFreeSockets: 8, timeout: 30_000, ...options })
    this.#connect = connect
  }

  override createConnection(): Duplex {
    return withSocketMethods(this.#connect())
  }
}

/**
 * A `connect` function for undici's `Agent` and `Client`: `new Agent({ connect: tunnelConnector(open) })`. Plain
 * HTTP only; give undici the stream when the target was dialled.
 */
export function tunnelConnector(
  connect: Connect,
): (options: object, callback: (error: Error | null, connection: Duplex | null) => void) => void {
  return (_options, callback) => {
    const stream = withSocketMethods(connect())
    const onError = (error: Error) => callback(error, null)
    stream.once('error', onError)
    stream.once('connect', () => {
      stream.off('error', onError)
      callback(null, stream)
    })
  }
}

/** What http.Agent and undici call on a connection, as nothing where the Duplex does not have it. */
function withSocketMethods(stream: Duplex): Duplex {
  for (const method of ['setTimeout', 'setNoDelay', 'setKeepAlive', 'ref', 'unref']) {
    if (!(method in stream)) Object.defineProperty(stream, method, { value: () => stream })
  }
  return stream
}
