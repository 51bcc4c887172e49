import type { Command } from 'commander'
import { runAction } from '../../shared/cli/action.ts'
import { relayCommand } from '../relay-command.ts'

interface Flags {
  readonly data: string
  readonly passphraseFile: string
}

/** Adds `relay backup` and `relay restore`. */
export function addBackup(relay: Command): void {
  relayCommand(relay, 'backup', 'write everything of a relay into one sealed file, while it runs')
    .requiredOption('--out <FILE>', 'the file to be made, mode 0600')
    .requiredOption('--passphrase-file <FILE>', 'what seals it; - for standard input')
    .option('--no-master-key', 'leave master.key out: it is kept elsewhere')
    .action(
      runAction(async ({ signal, output, terminal }, flags: Flags & { out: string; masterKey: boolean }) => {
        const { relayBackup } = await import('./commands.ts')
        await relayBackup({ ...flags, stdin: terminal.stdin, signal, output })
      }),
    )
  relayCommand(relay, 'restore', 'make a data directory from a backup; --data names one that does not exist')
    .argument('<FILE>')
    .requiredOption('--passphrase-file <FILE>', 'what sealed it; - for standard input')
    .option('--master-key <FILE>', 'the master.key that was kept elsewhere')
    .option('--key-command <PROGRAM>', 'the program that wraps the keys, where there is no master.key')
    .action(
      runAction(
        async (
          { signal, output, terminal },
          file: string,
          flags: Flags & { keyCommand?: string; masterKey?: string },
        ) => {
          const { relayRestore } = await import('./commands.ts')
          await relayRestore({ ...flags, file, stdin: terminal.stdin, signal, output })
        },
      ),
    )
}
