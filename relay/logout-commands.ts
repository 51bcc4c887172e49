import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'

/** Adds `logout` to the program. */
export function register(program: Command): void {
  program
    .command('logout')
    .description('end the login at a relay, there and here')
    .requiredOption('--relay <URL>', 'the relay, at https://HOST[:PORT]')
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async (context, flags: { relay: string }) => {
        const { logout } = await import('./login-command.ts')
        await logout(context, flags)
      }),
    )
}
