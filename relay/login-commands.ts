import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { LoginFlags } from './login-command.ts'

/** Adds `login`, `logout` and `set-password` to the program. */
export function register(program: Command): void {
  relayOption(program.command('login'))
    .description('log in at a relay, for commands with --relay: by a code, a password or a key')
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
  relayOption(program.command('logout'))
    .description('end the login at a relay, there and here')
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async (context, flags: { relay: string }) => {
        const { logout } = await import('./login-command.ts')
        await logout(context, flags)
      }),
    )
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

function relayOption(command: Command): Command {
  return command.requiredOption('--relay <URL>', 'the relay, at https://HOST[:PORT]')
}
