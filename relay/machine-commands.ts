import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { type TenantFlags, tenantCommand, type ViewFlags, viewCommand } from './relay-command.ts'

interface AddFlags extends ViewFlags {
  readonly role: string
  readonly site?: string
  readonly inProduction?: boolean
  readonly out?: string
}

/** Adds `machine` and its commands. */
export function registerMachines(relay: Command): void {
  const machine = relay.command('machine').description('programs that ask the API by themselves')
  viewCommand(machine, 'add', 'let a program ask the API in a role, and write its secret')
    .argument('<NAME>')
    .requiredOption('--role <ROLE>', 'owner, administrator, operator, auditor or developer')
    .option('--site <NAME>', 'at one site of the environment only')
    .option('--in-production', 'it counts in environments that are marked as production, too')
    .option('--out <FILE>', 'where to write the secret, mode 0600 (default: NAME.client.json)')
    .action(
      runAction(async ({ signal, output }, name: string, flags: AddFlags) => {
        const { machineAdd } = await import('./machines/ask.ts')
        await machineAdd({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(machine, 'revoke', 'end a machine for good; its tokens are of no use from now on')
    .argument('<NAME>', 'its name or client id')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { machineRevoke } = await import('./machines/ask.ts')
        await machineRevoke({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(machine, 'list', 'show the programs that may ask the API').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { machineList } = await import('./machines/ask.ts')
      await machineList({ ...flags, signal, output })
    }),
  )
}
