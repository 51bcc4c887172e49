import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { type PlaceFlags, placeCommand, type TenantFlags, tenantCommand } from './relay-command.ts'

/** Adds `restriction` and its commands. */
export function registerRestrictions(relay: Command): void {
  const restriction = relay
    .command('restriction')
    .description('from which addresses, and with which certificates, things may be reached')
  tenantCommand(restriction, 'set', 'add a restriction, or replace the one of that name')
    .argument('<NAME>')
    .option('--range <CIDR...>', 'these addresses only, such as 192.0.2.0/24 or 2001:db8::/32')
    .option('--ca <FILE>', 'only with a client certificate that this CA has issued; PEM')
    .action(
      runAction(
        async ({ signal, output }, name: string, flags: TenantFlags & { range?: string[]; ca?: string }) => {
          const { restrictionSet } = await import('./restrictions/ask.ts')
          await restrictionSet({ ...flags, name, signal, output })
        },
      ),
    )
  tenantCommand(restriction, 'remove', 'remove a restriction that is attached to nothing')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { restrictionRemove } = await import('./restrictions/ask.ts')
        await restrictionRemove({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(restriction, 'list', 'show the restrictions and what they are attached to').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { restrictionList } = await import('./restrictions/ask.ts')
      await restrictionList({ ...flags, signal, output })
    }),
  )
  addAttachments(restriction)
}

function addAttachments(restriction: Command): void {
  addAttachment(restriction, 'attach', 'restrict something from now on; what does not fit ends')
  addAttachment(restriction, 'detach', 'restrict something no more')
}

function addAttachment(restriction: Command, verb: 'attach' | 'detach', description: string): void {
  placeCommand(restriction, verb, description)
    .argument('<NAME>')
    .argument('<KIND>', 'connector, resource, publication, logins or person')
    .argument('[TARGET]', 'its name, SITE/RESOURCE, address or id; nothing for the logins')
    .action(
      runAction(
        async (
          { signal, output },
          name: string,
          kind: string,
          target: string | undefined,
          flags: PlaceFlags,
        ) => {
          const { restrictionAttach, restrictionDetach } = await import('./restrictions/ask.ts')
          const run = verb === 'attach' ? restrictionAttach : restrictionDetach
          const what = { name, kind, ...(target === undefined ? {} : { target }) }
          await run({ ...flags, ...what, signal, output })
        },
      ),
    )
}
