import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { type TenantFlags, tenantCommand } from './relay-command.ts'

interface SecretFlags extends TenantFlags {
  readonly secret?: string
}

const SECRET = 'file with the client secret; - reads it from standard input'

/** Adds `sso` and its commands. */
export function registerSso(relay: Command): void {
  const sso = relay.command('sso').description('the identity providers by which people of a tenant log in')
  for (const [verb, description] of [
    ['add', 'add an identity provider'],
    ['update', 'give an identity provider other settings'],
  ] as const) {
    tenantCommand(sso, verb, description)
      .argument('<NAME>', 'how it is called here; stands in its URLs')
      .argument('<FILE>', 'its settings as JSON: docs/sso.md')
      .option('--secret <FILE>', SECRET)
      .action(
        runAction(async ({ signal, output }, name: string, file: string, flags: SecretFlags) => {
          const { ssoWrite } = await import('./sso/commands.ts')
          await ssoWrite({ ...flags, verb, name, file, signal, output })
        }),
      )
  }
  tenantCommand(sso, 'list', 'show them, with what has to be entered there').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { ssoList } = await import('./sso/commands.ts')
      await ssoList({ ...flags, signal, output })
    }),
  )
  tenantCommand(sso, 'remove', 'remove one, with the roles that it gave and the sessions that began there')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { ssoRemove } = await import('./sso/commands.ts')
        await ssoRemove({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(sso, 'test', 'ask one whether a login could begin there')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { ssoTest } = await import('./sso/commands.ts')
        await ssoTest({ ...flags, name, signal, output })
      }),
    )
}
