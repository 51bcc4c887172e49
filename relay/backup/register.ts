import type { Command } from 'commander'
import { runAction } from '../../shared/cli/action.ts'
import { askingCommand, type DataFlags, relayCommand } from '../relay-command.ts'

interface Flags {
  readonly data: string
  readonly passphraseFile: string
}

/** Adds `relay backup`, `relay restore` and `relay backups`. */
export function addBackup(relay: Command): void {
  addBackups(relay)
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

function addBackups(relay: Command): void {
  const backups = relay.command('backups').description('what a running relay backs up by itself')
  askingCommand(backups, 'make', 'make a backup now, beside those of each day').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { backupsMake } = await import('./commands.ts')
      await backupsMake({ ...flags, signal, output })
    }),
  )
  askingCommand(backups, 'list', 'show the backups that there are').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { backupsList } = await import('./commands.ts')
      await backupsList({ ...flags, signal, output })
    }),
  )
  askingCommand(backups, 'prune', 'remove those beyond 14 days, 12 weeks and 12 months').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { backupsPrune } = await import('./commands.ts')
      await backupsPrune({ ...flags, signal, output })
    }),
  )
  backups
    .command('download')
    .description('fetch a backup from another relay, sealed as it is')
    .argument('<NAME>', 'as backups list shows it')
    .requiredOption('--relay <URL>', 'the relay, at https://HOST[:PORT]: sallyport relay operator')
    .option('--out <FILE>', 'where to write it, mode 0600 (default: NAME)')
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async ({ signal, output }, name: string, flags: { relay: string; out?: string }) => {
        const { backupsDownload } = await import('./commands.ts')
        await backupsDownload({ ...flags, name, signal, output })
      }),
    )
}
