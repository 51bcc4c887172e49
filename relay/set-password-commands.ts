import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'

/** Adds `set-password` to the program. */
export function register(program: Command): void {
  program
    .command('set-password')
    .description('set a password by a link, which is read from standard input before the password')
    .option('--name <LOGIN>', 'what the first owner of a tenant wants to be called')
    .option('--ca <FILE>', "certificate of the relay's CA (default: the roots of the system)")
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async (context, flags: { ca?: string; name?: string }) => {
        const { setPassword } = await import('./login-command.ts')
        await setPassword(context, flags)
      }),
    )
}
