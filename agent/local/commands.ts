import type { Command } from 'commander'
import { runAction } from '../../shared/cli/action.ts'

interface DataFlags {
  readonly data: string
}

/** Adds the commands by which an administrator looks at one agent and holds it. `command` makes one with `--data` and `--json`. */
export function addLocal(
  agent: Command,
  command: (parent: Command, name: string, description: string) => Command,
): void {
  command(agent, 'status', 'show whether the agent runs and is connected').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { status } = await import('./status-command.ts')
      await status({ ...flags, signal, output })
    }),
  )
  command(agent, 'pause', 'end every stream and refuse all others, also after a restart').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { pause } = await import('./pause-command.ts')
      await pause({ ...flags, signal, output })
    }),
  )
  command(agent, 'resume', 'let streams come again').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { resume } = await import('./pause-command.ts')
      await resume({ ...flags, signal, output })
    }),
  )
  command(agent, 'reset', 'forget the identity of this agent; the rules stay')
    .option('--yes', 'do not ask')
    .action(
      runAction(async ({ signal, output, terminal }, flags: DataFlags & { yes?: boolean }) => {
        const { reset } = await import('./reset-command.ts')
        await reset({ ...flags, terminal, signal, output })
      }),
    )
  command(agent, 'support-bundle', 'write an archive for those who help; no secret goes into it')
    .option('--out <FILE>', 'where to; sallyport-support.tar.gz by default')
    .option('--log-file <FILE>', 'take the last lines of this log file along')
    .action(
      runAction(async ({ signal, output }, flags: DataFlags & { out?: string; logFile?: string }) => {
        const { supportBundle } = await import('./support-bundle-command.ts')
        await supportBundle({ ...flags, environment: process.env, signal, output })
      }),
    )
}
