import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { AuditFlags, ChainFlags } from './audit/show.ts'
import type { VerifyFlags } from './audit/verify-command.ts'
import type { AddOptions } from './delivery-commands.ts'
import { askingCommand, type TenantFlags, tenantCommand } from './relay-command.ts'

/** Adds `audit` and its commands to the program. */
export function register(program: Command): void {
  const audit = program
    .command('audit')
    .description('what happened at the relay, and whether anybody changed it')
  addVerify(audit)
  addList(audit)
  addFollow(audit)
  addExport(audit)
  addCheckpoint(audit)
  addDeliveries(audit)
}

function chainCommand(parent: Command, name: string, description: string): Command {
  return askingCommand(parent, name, description).option(
    '--tenant <NAME>',
    'whose chain; @relay for that of the relay itself',
    'default',
  )
}

function searchCommand(parent: Command, name: string, description: string): Command {
  return chainCommand(parent, name, description)
    .option('--from <TIME>', 'records of this time and later, such as 2026-11-22 or 2026-11-22T13:00:00Z')
    .option('--until <TIME>', 'records before this time')
    .option('--env <NAME>', 'records of one environment')
    .option('--actor <KIND[:ID]>', 'operator, person, machine, agent, connector, relay or nobody')
    .option('--action <NAME>', 'such as agent.revoke')
    .option('--object <TEXT>', 'such as hq/db')
    .option('--outcome <CODE>', 'OK or the code of a refusal or an end')
    .option('--trace <ID>', 'records of one trace')
}

function addVerify(audit: Command): void {
  askingCommand(audit, 'verify', 'read the chains and say whether every record is what was written')
    .option('--tenant <NAME>', 'one chain only; @relay for that of the relay itself')
    .option('--checkpoint <FILE>', 'what audit checkpoint printed once, from where the relay cannot reach it')
    .option('--export <FILE|->', 'what audit export wrote as JSON, all of it, in the place of a relay')
    .option('--ca <FILE>', "certificate of the relay's CA, for an export with a checkpoint")
    .action(
      runAction(async ({ signal, output, terminal }, flags: VerifyFlags) => {
        const { verify } = await import('./audit/verify-command.ts')
        await verify({ ...flags, signal, output, stdin: terminal.stdin })
      }),
    )
}

function addList(audit: Command): void {
  searchCommand(audit, 'list', 'show records, the newest first')
    .option('--limit <N>', 'at most so many, 1 to 1000', '50')
    .option('--before <SEQ>', 'records before this number: the next page')
    .action(
      runAction(async ({ signal, output }, flags: AuditFlags & { limit: string; before?: string }) => {
        const { list } = await import('./audit/show.ts')
        await list({ ...flags, signal, output })
      }),
    )
}

function addFollow(audit: Command): void {
  searchCommand(audit, 'follow', 'show records as they are written, until it is ended')
    .option('--after <SEQ>', 'what came after this number before')
    .action(
      runAction(async ({ signal, output }, flags: AuditFlags & { after?: string }) => {
        const { follow } = await import('./audit/show.ts')
        await follow({ ...flags, signal, output })
      }),
    )
}

function addExport(audit: Command): void {
  searchCommand(audit, 'export', 'write records, the oldest first, as JSON or CSV')
    .option('--csv', 'CSV instead of one JSON object a line')
    .option('--after <SEQ>', 'records after this number')
    .action(
      runAction(
        async ({ signal, output, terminal }, flags: AuditFlags & { csv?: boolean; after?: string }) => {
          const { exportRecords } = await import('./audit/show.ts')
          await exportRecords({ ...flags, signal, output, stdout: terminal.stdout })
        },
      ),
    )
}

function addCheckpoint(audit: Command): void {
  chainCommand(audit, 'checkpoint', 'show the newest signed end of a chain, to be kept elsewhere').action(
    runAction(async ({ signal, output }, flags: ChainFlags) => {
      const { checkpoint } = await import('./audit/show.ts')
      await checkpoint({ ...flags, signal, output })
    }),
  )
}

function addDeliveries(audit: Command): void {
  const delivery = audit.command('delivery').description('where records are sent while they are written')
  const command = (name: string, description: string) => tenantCommand(delivery, name, description)
  command('add', 'send records to a webhook, or to a receiver of syslog over TLS')
    .argument('<NAME>')
    .option('--webhook <URL>', 'https only; the key that signs is shown once')
    .option('--syslog <HOST:PORT>', 'RFC 5424 over TLS (RFC 5425)')
    .option('--ca <FILE>', "certificates in PEM that the receiver's must come from")
    .option('--from-start', 'all records, not only those from now on')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags & AddOptions) => {
        const { deliveryAdd } = await import('./delivery-commands.ts')
        await deliveryAdd({ ...flags, name, signal, output })
      }),
    )
  command('list', 'show where records are sent, and how that goes').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { deliveryList } = await import('./delivery-commands.ts')
      await deliveryList({ ...flags, signal, output })
    }),
  )
  command('remove', 'send records there no more')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { deliveryRemove } = await import('./delivery-commands.ts')
        await deliveryRemove({ ...flags, name, signal, output })
      }),
    )
  command('test', 'send one record that says that it is a test')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { deliveryTest } = await import('./delivery-commands.ts')
        await deliveryTest({ ...flags, name, signal, output })
      }),
    )
}
