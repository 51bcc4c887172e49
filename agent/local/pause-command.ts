import type { Output } from '../../shared/cli/output.ts'
import { checkPrivateDirectory } from '../../shared/config/private-file.ts'
import { callControl } from '../../shared/control/call.ts'
import { controlPath } from '../../shared/control/path.ts'
import { realEffects } from '../../shared/effects.ts'
import { isTunnelError } from '../../shared/errors.ts'
import { readPause, writePause } from './pause.ts'

interface PauseOptions {
  readonly data: string
  readonly signal: AbortSignal
  readonly output: Output
}

/** `sallyport agent pause`: by the running agent, or in its data directory where none runs. */
export async function pause(options: PauseOptions): Promise<void> {
  const { data, output } = options
  const isRunning = await askRunning('pause', options)
  if (!isRunning) {
    await checkPrivateDirectory(data)
    await writePause(data, (await readPause(data)) ?? { since: realEffects.date() })
  }
  output.result({ paused: true, running: isRunning }, [
    isRunning
      ? 'paused: every stream has ended, and new ones are refused'
      : 'paused: the agent does not run, and starts paused',
    'next: sallyport agent resume',
  ])
}

/** `sallyport agent resume`. */
export async function resume(options: PauseOptions): Promise<void> {
  const { data, output } = options
  const isRunning = await askRunning('resume', options)
  if (!isRunning) {
    await checkPrivateDirectory(data)
    await writePause(data, undefined)
  }
  output.result({ paused: false, running: isRunning }, 'resumed: streams may come, as far as the rules go')
}

/** True where an agent ran and did it. */
async function askRunning(method: 'pause' | 'resume', { data, signal }: PauseOptions): Promise<boolean> {
  try {
    await callControl(controlPath(data), method, {}, { signal })
    return true
  } catch (err) {
    if (isTunnelError(err) && err.code === 'NOT_RUNNING') return false
    throw err
  }
}
