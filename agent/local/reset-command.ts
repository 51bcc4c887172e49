import { existsSync } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { confirm } from '../../shared/cli/confirm.ts'
import type { Output } from '../../shared/cli/output.ts'
import type { Terminal } from '../../shared/cli/terminal.ts'
import { checkPrivateDirectory } from '../../shared/config/private-file.ts'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { fingerprintOf } from '../enrollment.ts'
import { identityPath, readIdentity } from '../identity-store.ts'
import { pausePath } from './pause.ts'

export interface ResetOptions {
  readonly data: string
  readonly yes?: boolean
  readonly terminal: Pick<Terminal, 'stdin' | 'stderr'>
  readonly signal: AbortSignal
  readonly output: Output
}

/**
 * `sallyport agent reset`: the identity is gone for good; rules stay.
 * @throws {TunnelError} USAGE where the agent runs or nobody said yes, NOT_FOUND where it has not joined
 */
export async function reset(options: ResetOptions): Promise<void> {
  const { data, output, signal } = options
  await checkPrivateDirectory(data)
  if (await isRunning(data, signal)) {
    throw new TunnelError('USAGE', 'The agent runs, and would go on with what is to be forgotten.', {
      next: 'stop it first: systemctl stop sallyport-agent, or Ctrl-C where it runs',
    })
  }
  // A damaged identity is a reason to reset, so it is no reason to refuse.
  const identity = await readIdentity(data).catch(() => 'damaged' as const)
  if (identity === undefined)
    throw new TunnelError('NOT_FOUND', 'This agent has no identity.', { leg: 'local', next: '' })
  const who =
    identity === 'damaged'
      ? 'a damaged identity'
      : `agent ${identity.agentId} of site ${identity.site}, key ${fingerprintOf(identity)}`
  if (options.yes !== true)
    await confirm(`forget ${who}? Joining again needs a new join string. [y/N] `, options)
  const gone = [
    identityPath(data),
    join(data, 'settings.json'),
    join(data, 'proxy-credentials'),
    pausePath(data),
  ].filter((path) => existsSync(path))
  // The identity goes last: whoever is interrupted can reset again.
  for (const path of gone.toReversed()) await rm(path)
  const left = ['rules.toml', 'rules.last-good.toml', 'agent.log']
    .map((name) => join(data, name))
    .filter((path) => existsSync(path))
  output.result({ removed: gone, left }, [
    `forgot ${who}`,
    ...gone.map((path) => `  removed  ${path}`),
    ...left.map((path) => `  left     ${path}`),
    'the relay still knows this agent; to end its identity: sallyport relay revoke agent SITE',
  ])
}

async function isRunning(data: string, signal: AbortSignal): Promise<boolean> {
  try {
    await callControl(controlPath(data), 'status', {}, { signal })
    return true
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_RUNNING') return false
    throw err
  }
}
