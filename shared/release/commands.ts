import type { Command } from 'commander'
import { runAction } from '../cli/action.ts'
import type { VerifyFlags } from './verify-command.ts'

/** Adds `verify` to the program. */
export function register(program: Command): void {
  program
    .command('verify')
    .description('check downloaded files against their signed release manifest')
    .argument('<FILE...>')
    .option('--manifest <FILE>', 'the manifest (default: release.json beside each file)')
    .option('--keys <FILE>', 'the release keys that count (default: those built into this program)')
    .option('--floor <VERSION>', 'the oldest version that is taken (default: that of this program)')
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async ({ signal, output }, files: string[], flags: VerifyFlags) => {
        const { verifyFiles } = await import('./verify-command.ts')
        await verifyFiles({ ...flags, files, signal, output })
      }),
    )
}
