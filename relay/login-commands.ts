import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { LoginFlags } from './login-command.ts'

/** Adds `login` to the program. */
export function register(program: Command): void {
  program
    .command('login')
    .description('log in at a relay, for commands with --relay: by a code, a password or a key')
    .requiredOption('--relay <URL>', 'the relay, at https://HOST[:PORT]')
    .option('--tenant <NAME>', 'of which tenant one is', 'default')
    .option('--name <LOGIN>', 'by name and password, which are read from standard input')
    .option('--key-file <FILE|->', 'by a key, which is read from a file or standard input')
    .option('--ca <FILE>', "certificate of the relay's CA (default: the roots of the system)")
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async (context, flags: LoginFlags) => {
        const { login } = await import('./login-command.ts')
        await login(context, flags)
      }),
    )
}
