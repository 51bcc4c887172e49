import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { AccountFlags, KeyFlags } from './account-command.ts'

/** Adds `account` and its commands to the program. */
export function register(program: Command): void {
  const account = program.command('account').description('what one may do with the own account at a relay')
  addOverview(account)
  addFactors(account)
  addKeys(account)
}

function accountCommand(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .requiredOption('--relay <URL>', 'the relay, at https://HOST[:PORT], where one has logged in')
    .option('--tenant <NAME>', 'of which tenant one is', 'default')
    .option('--json', 'one JSON object a line')
}

function addOverview(account: Command): void {
  accountCommand(account, 'show', 'show second factors, sessions and keys').action(
    runAction(async (context, flags: AccountFlags) => {
      const { show } = await import('./account-command.ts')
      await show(context, flags)
    }),
  )
  accountCommand(account, 'approve', 'let a command line in that shows this code')
    .argument('<CODE>')
    .action(
      runAction(async (context, code: string, flags: AccountFlags) => {
        const { approve } = await import('./account-command.ts')
        await approve(context, code, flags)
      }),
    )
  accountCommand(account, 'end-session', 'end one of the own sessions; account show has their ids')
    .argument('<ID>')
    .action(
      runAction(async (context, id: string, flags: AccountFlags) => {
        const { dropSession } = await import('./account-command.ts')
        await dropSession(context, id, flags)
      }),
    )
  accountCommand(
    account,
    'password',
    'set a new password; the old and the new one are read from standard input',
  ).action(
    runAction(async (context, flags: AccountFlags) => {
      const { password } = await import('./account-command.ts')
      await password(context, flags)
    }),
  )
}

function addFactors(account: Command): void {
  accountCommand(account, 'totp', 'have logins ask for a code of a program on the phone')
    .option('--name <NAME>', 'what it is called', 'phone')
    .action(
      runAction(async (context, flags: AccountFlags & { name: string }) => {
        const { totp } = await import('./account-command.ts')
        await totp(context, flags)
      }),
    )
  accountCommand(account, 'recovery-codes', 'make ten codes for when the second factor is lost').action(
    runAction(async (context, flags: AccountFlags) => {
      const { recoveryCodes } = await import('./account-command.ts')
      await recoveryCodes(context, flags)
    }),
  )
  accountCommand(account, 'remove-factor', 'remove a second factor')
    .argument('<ID>')
    .action(
      runAction(async (context, id: string, flags: AccountFlags) => {
        const { dropFactor } = await import('./account-command.ts')
        await dropFactor(context, id, flags)
      }),
    )
}

function addKeys(account: Command): void {
  const key = account.command('key').description('keys with which programs act for one')
  accountCommand(key, 'add', 'make a key and write it into a file, mode 0600')
    .argument('<NAME>')
    .requiredOption('--role <ROLE>', 'what it may; at most what one may oneself')
    .option('--env <NAME>', 'in one environment only')
    .option('--site <NAME>', 'at one site of it only')
    .option('--via-api', 'in production, too, where one may so oneself')
    .option('--ttl <TIME>', 'how long it lives', '90d')
    .option('--out <FILE>', 'where to write it (default: NAME.key)')
    .action(
      runAction(async (context, name: string, flags: KeyFlags) => {
        const { keyAdd } = await import('./account-command.ts')
        await keyAdd(context, name, flags)
      }),
    )
  accountCommand(key, 'remove', 'revoke a key')
    .argument('<ID>')
    .action(
      runAction(async (context, id: string, flags: AccountFlags) => {
        const { keyRemove } = await import('./account-command.ts')
        await keyRemove(context, id, flags)
      }),
    )
}
