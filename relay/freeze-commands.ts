import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import {
  type PlaceFlags,
  placeCommand,
  type TenantFlags,
  tenantCommand,
  type ViewFlags,
  viewCommand,
} from './relay-command.ts'

const KIND = 'connector, resource, site or tenant'
const NAME = 'its name, SITE/RESOURCE of a resource; nothing for the tenant'

/** Adds `freeze`, `unfreeze`, `frozen` and `copies`. */
export function registerFreezes(relay: Command): void {
  placeCommand(relay, 'freeze', 'stop something now: its streams end, new ones are refused')
    .argument('<KIND>', KIND)
    .argument('[NAME]', NAME)
    .option('--reason <TEXT>', 'what for; it is shown to whoever looks')
    .action(
      runAction(
        async (
          { signal, output },
          kind: string,
          name: string | undefined,
          flags: PlaceFlags & { reason?: string },
        ) => {
          const { freeze } = await import('./enforcement/ask.ts')
          await freeze({ ...flags, kind, ...(name === undefined ? {} : { name }), signal, output })
        },
      ),
    )
  placeCommand(relay, 'unfreeze', 'let what was stopped work again')
    .argument('<KIND>', KIND)
    .argument('[NAME]', NAME)
    .action(
      runAction(async ({ signal, output }, kind: string, name: string | undefined, flags: PlaceFlags) => {
        const { unfreeze } = await import('./enforcement/ask.ts')
        await unfreeze({ ...flags, kind, ...(name === undefined ? {} : { name }), signal, output })
      }),
    )
  tenantCommand(
    relay,
    'copies',
    'show agents of which there seem to be two, or say what is done about them from now on',
  )
    .argument('[RESPONSE]', 'alarm: a record and a warning; freeze: their site is stopped as well')
    .action(
      runAction(async ({ signal, output }, response: string | undefined, flags: TenantFlags) => {
        const { copies } = await import('./enforcement/ask.ts')
        await copies({ ...flags, response, signal, output })
      }),
    )
  viewCommand(relay, 'frozen', 'show what is stopped, since when and why').action(
    runAction(async ({ signal, output }, flags: ViewFlags) => {
      const { frozen } = await import('./enforcement/ask.ts')
      await frozen({ ...flags, signal, output })
    }),
  )
}
