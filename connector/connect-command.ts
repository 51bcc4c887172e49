import { parseListenAddress } from '../shared/cli/listen-address.ts'
import type { Output } from '../shared/cli/output.ts'
import { readCredentials } from '../shared/identity/credentials.ts'
import { parseResourceName } from '../shared/identity/names.ts'
import { formatListening } from '../shared/tunnel/tcp-listener.ts'
import { Connector } from './connection.ts'
import { forwardLocally } from './local-forward.ts'

export interface ConnectOptions {
  readonly resource: string
  readonly listen: string
  readonly credentials: string
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport connect`: forwards until the signal aborts. */
export async function connect(options: ConnectOptions): Promise<void> {
  const { resource, signal, output } = options
  parseResourceName(resource)
  const { host, port } = parseListenAddress(options.listen)
  const credentials = await readCredentials(options.credentials)
  let isUp = false
  await using connector = new Connector({
    credentials,
    onUp: () => {
      if (isUp) output.note('the relay is back')
      isUp = true
    },
    onDown: (error, retryMs) => {
      if (isUp)
        output.note(`${error.code}: ${error.message} Trying again in ${Math.ceil(retryMs / 1_000)} s.`)
    },
  })
  await output.progress('connecting to the relay', connector.ready())
  const forward = await forwardLocally({
    connector,
    resource,
    host,
    port,
    onFailure: (error) =>
      output.note(`${error.code}: ${error.message}${error.next === '' ? '' : ` Next: ${error.next}`}`),
  })
  const address = formatListening(host, forward.port)
  output.result({ listening: address, resource }, `${resource} is at ${address} (Ctrl-C ends it)`)
  await new Promise<void>((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
  forward.close()
}
