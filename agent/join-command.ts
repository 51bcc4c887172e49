import type { Readable } from 'node:stream'
import type { Output } from '../shared/cli/output.ts'
import { readSecret } from '../shared/cli/secret-input.ts'
import { realEffects } from '../shared/effects.ts'
import { TunnelError } from '../shared/errors.ts'
import { PRODUCT_VERSION } from '../shared/version.ts'
import { join } from './enrollment.ts'

export interface JoinCommandOptions {
  readonly data: string
  /** The join string itself, `-` for standard input, or undefined. */
  readonly text: string | undefined
  readonly joinFile?: string
  readonly replace?: boolean
  readonly stdin: Readable
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport agent join`. */
export async function joinRelay(options: JoinCommandOptions): Promise<void> {
  const { data, signal, output } = options
  const joinString = await readJoinString(options)
  const joined = await output.progress(
    'joining the relay',
    join(joinString, data, {
      effects: realEffects,
      signal,
      version: PRODUCT_VERSION,
      instance: realEffects.randomBytes(16).toString('hex'),
      ...(options.replace === true ? { replace: true } : {}),
    }),
  )
  const { site, agentId } = joined.identity
  const { fingerprint, caFingerprint } = joined
  output.result({ site, agentId, fingerprint, caFingerprint, data }, [
    `joined as an agent of site ${site}`,
    `agent key  ${fingerprint}`,
    `relay CA   ${caFingerprint}`,
    'compare the agent key with `sallyport relay list` at the relay',
    `next: sallyport agent allow NAME=HOST:PORT --data ${data}`,
    `then: sallyport agent run --data ${data}`,
  ])
}

async function readJoinString({ text, joinFile, stdin, signal }: JoinCommandOptions): Promise<string> {
  if ((text === undefined) === (joinFile === undefined)) {
    throw new TunnelError('USAGE', 'Give the join string, or --join-file FILE, or - for standard input.', {
      next: 'sallyport agent join --help',
    })
  }
  if (text !== undefined && text !== '-') return text
  return (await readSecret(joinFile ?? '-', { stdin, signal })).reveal()
}
