import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { askingCommand, type DataFlags, relayCommand } from './relay-command.ts'

/** Adds `operator` and its commands. */
export function registerOperators(relay: Command): void {
  const operator = relay
    .command('operator')
    .description('acting for the relay as a whole from another machine, for hours')
  relayCommand(operator, 'add', 'make a token for tenants, keys, backups and the relay’s own chain')
    .argument('<NAME>', 'what it is for')
    .option('--for <TIME>', 'how long, 1m to 12h; a restart of the relay ends it, too', '1h')
    .option('--out <FILE>', 'where to write it, mode 0600 (default: NAME.token)')
    .action(
      runAction(
        async ({ signal, output }, name: string, flags: DataFlags & { for: string; out?: string }) => {
          const { operatorAdd } = await import('./operators/ask.ts')
          await operatorAdd({ ...flags, name, signal, output })
        },
      ),
    )
  askingCommand(operator, 'list', 'show the tokens that are good').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { operatorList } = await import('./operators/ask.ts')
      await operatorList({ ...flags, signal, output })
    }),
  )
  askingCommand(operator, 'remove', 'end a token at once')
    .argument('<ID>', 'as operator list shows it')
    .action(
      runAction(async ({ signal, output }, id: string, flags: DataFlags) => {
        const { operatorRemove } = await import('./operators/ask.ts')
        await operatorRemove({ ...flags, id, signal, output })
      }),
    )
}
