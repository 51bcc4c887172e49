import { aborted } from '../shared/abort.ts'
import { describeFailure, legText } from '../shared/cli/failure.ts'
import { parseListenAddress } from '../shared/cli/listen-address.ts'
import type { Output } from '../shared/cli/output.ts'
import { realEffects } from '../shared/effects.ts'
import type { TunnelError } from '../shared/errors.ts'
import { readCredentials } from '../shared/identity/credentials.ts'
import { parseResourceName } from '../shared/identity/names.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { findNetwork } from '../shared/network/find-network.ts'
import { networkFlags } from '../shared/network/flags.ts'
import { formatListening } from '../shared/tunnel/tcp-listener.ts'
import { Connector } from './connection.ts'
import { credentialsFile } from './identity/credentials-file.ts'
import { forwardLocally } from './local-forward.ts'

export interface ConnectOptions extends NetworkChoice {
  readonly resource: string
  readonly listen: string
  readonly credentials: string
  /** False leaves the certificate as it is. */
  readonly renew: boolean
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport connect`: forwards until the signal aborts. */
export async function connect(options: ConnectOptions): Promise<void> {
  const { resource, signal, output } = options
  parseResourceName(resource)
  const { host, port } = parseListenAddress(options.listen)
  const credentials = await readCredentials(options.credentials)
  const { network } = await findNetwork({
    flags: networkFlags(options),
    environment: options.environment,
    settings: {},
    effects: realEffects,
    platform: process.platform,
  })
  let isUp = false
  let downSince: number | undefined
  await using connector = new Connector({
    credentials,
    network,
    ...(options.renew ? { keeper: credentialsFile(options.credentials) } : {}),
    onRenewalFailed: (error) => tellFailure(output, error),
    onUp: () => {
      if (isUp && output.json) output.result({ event: 'connected' }, [])
      else if (isUp) output.note('the relay is back')
      isUp = true
      downSince = undefined
    },
    onDown: (error, retryMs) => {
      if (!isUp) return
      downSince ??= realEffects.date()
      tellFailure(output, error, { since: downSince, retryMs })
    },
  })
  await output.progress('connecting to the relay', connector.ready())
  const forward = await forwardLocally({
    connector,
    resource,
    host,
    port,
    onFailure: (error) => tellFailure(output, error),
  })
  const address = formatListening(host, forward.port)
  output.result({ listening: address, resource }, `${resource} is at ${address} (Ctrl-C ends it)`)
  await aborted(signal)
  forward.close()
}

interface Course {
  /** Milliseconds since 1970 since which it fails. */
  readonly since?: number
  /** In how many ms the next try is due. */
  readonly retryMs?: number
}

/** A failure that does not end the command: a note for a person, an event for a program. */
function tellFailure(output: Output, error: TunnelError, { since, retryMs }: Course = {}): void {
  if (output.json) {
    output.result({ event: 'failure', ...describeFailure(error), since, retryMs }, [])
    return
  }
  output.note([
    `${error.code}: ${error.message}`,
    `  where  ${legText(error.leg)}${since === undefined ? '' : `, since ${new Date(since).toISOString()}`}`,
    ...(error.next === '' ? [] : [`  next   ${error.next}`]),
    ...(retryMs === undefined ? [] : [`  again  in ${Math.ceil(retryMs / 1_000)} s`]),
  ])
}
