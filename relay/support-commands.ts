import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { realEffects } from '../shared/effects.ts'
import { type TenantFlags, tenantCommand, type ViewFlags, viewCommand } from './relay-command.ts'

interface AddFlags extends ViewFlags {
  readonly role: string
  readonly for: string
  readonly reason: string
  readonly site?: string
}

/** Adds `support` and its commands. */
export function registerSupport(relay: Command): void {
  const support = relay.command('support').description('named people who help for a set time')
  viewCommand(support, 'add', 'let a person help for a while; what that person does is on record')
    .argument('<PERSON>', 'the id of the person')
    .requiredOption('--reason <TEXT>', 'what for')
    .option('--role <ROLE>', 'operator, auditor or developer', 'auditor')
    .option('--for <TIME>', 'how long, 1m to 30d', '1h')
    .option('--site <NAME>', 'at one site of the environment only')
    .action(
      runAction(async ({ signal, output }, person: string, flags: AddFlags) => {
        const { supportAdd } = await import('./support/ask.ts')
        await supportAdd({ ...flags, person, now: realEffects.date(), signal, output })
      }),
    )
  tenantCommand(support, 'revoke', 'end a support access at once')
    .argument('<SUPPORT>', 'its id, as support list shows it')
    .action(
      runAction(async ({ signal, output }, id: string, flags: TenantFlags) => {
        const { supportRevoke } = await import('./support/ask.ts')
        await supportRevoke({ ...flags, support: id, signal, output })
      }),
    )
  tenantCommand(support, 'list', 'show who may help until when, and who does so now').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { supportList } = await import('./support/ask.ts')
      await supportList({ ...flags, signal, output })
    }),
  )
}
