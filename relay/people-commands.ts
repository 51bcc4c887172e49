import { Argument, type Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { RoleFlags } from './people-command.ts'
import { type TenantFlags, tenantCommand } from './relay-command.ts'

/** Adds the commands about people to `relay`. */
export function registerPeople(relay: Command): void {
  tenantCommand(
    relay,
    'setup-link',
    'make the link for the first owner of a tenant, while there is none',
  ).action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { setupLink } = await import('./people-command.ts')
      await setupLink({ ...flags, signal, output })
    }),
  )
  addPeople(relay.command('person').description('who may log in'))
  addRoles(relay.command('role').description('what people may do'))
  tenantCommand(relay, 'lockout', 'say after how many failed logins an account is locked')
    .argument('<FAILURES>', '3 to 100', Number)
    .action(
      runAction(async ({ signal, output }, failures: number, flags: TenantFlags) => {
        const { lockout } = await import('./people-command.ts')
        await lockout({ ...flags, failures, signal, output })
      }),
    )
  tenantCommand(relay, 'second-factor', 'say whether people need a second factor, or show it')
    .addArgument(new Argument('[DEMAND]', 'whether they need one').choices(['demanded', 'free']))
    .action(
      runAction(async ({ signal, output }, word: string | undefined, flags: TenantFlags) => {
        const isDemanded = word === undefined ? undefined : word === 'demanded'
        const { secondFactor } = await import('./people-command.ts')
        await secondFactor({ ...flags, isDemanded, signal, output })
      }),
    )
}

function addPeople(person: Command): void {
  tenantCommand(person, 'add', 'add a person, and make the link by which it sets its password')
    .argument('<LOGIN>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { personAdd } = await import('./people-command.ts')
        await personAdd({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(person, 'list', 'show the people of a tenant and their roles').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { personList } = await import('./people-command.ts')
      await personList({ ...flags, signal, output })
    }),
  )
  tenantCommand(person, 'remove', 'remove a person, with all sessions and keys')
    .argument('<LOGIN>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { personRemove } = await import('./people-command.ts')
        await personRemove({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(person, 'unlock', 'let a person in again whose account is locked')
    .argument('<LOGIN>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { personUnlock } = await import('./people-command.ts')
        await personUnlock({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(person, 'reset', 'make a link for a new password, and unlock the account')
    .argument('<LOGIN>')
    .option('--clear-factors', 'take the second factors away, too: they are lost')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags & { clearFactors?: boolean }) => {
        const { personReset } = await import('./people-command.ts')
        await personReset({ ...flags, name, signal, output })
      }),
    )
}

function addRoles(parent: Command): void {
  const about = { grant: 'give a person a role', revoke: 'take a role back; all sessions of the person end' }
  for (const verb of ['grant', 'revoke'] as const) {
    const command = tenantCommand(parent, verb, about[verb])
      .argument('<LOGIN>')
      .argument('<ROLE>', 'owner, administrator, operator, auditor or developer')
      .option('--env <NAME>', 'in one environment only')
      .option('--site <NAME>', 'at one site of it only')
    if (verb === 'grant') command.option('--via-api', 'in production also for keys of the person')
    command.action(
      runAction(async ({ signal, output }, name: string, role: string, flags: TenantFlags & RoleFlags) => {
        const { changeRole } = await import('./people-command.ts')
        await changeRole({ ...flags, verb, name, role, signal, output })
      }),
    )
  }
}
