import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { realEffects } from '../shared/effects.ts'
import { type PlaceFlags, placeCommand } from './relay-command.ts'

/** Adds `grant` and its commands. */
export function registerGrants(relay: Command): void {
  const grant = relay.command('grant').description('what connectors may open, until when, at which hours')
  addChanges(grant)
  addRequests(grant)
  addDecisions(grant)
}

function addChanges(grant: Command): void {
  placeCommand(grant, 'add', 'let a connector open a resource, or change the terms')
    .argument('<CONNECTOR>')
    .argument('<SITE/RESOURCE>')
    .option('--until <TIME>', 'until then, such as 2026-12-24T18:00:00Z or 8h (default: until it is removed)')
    .option('--hours <HOURS>', "at these hours only, such as 'mon-fri 08:00-18:00 Europe/Berlin'")
    .action(
      runAction(
        async (
          { signal, output },
          connector: string,
          resource: string,
          flags: PlaceFlags & { until?: string; hours?: string },
        ) => {
          const { grantAdd } = await import('./grants/ask.ts')
          await grantAdd({ ...flags, connector, resource, now: realEffects.date(), signal, output })
        },
      ),
    )
  placeCommand(grant, 'remove', 'take a resource back from a connector; its streams to it end')
    .argument('<CONNECTOR>')
    .argument('<SITE/RESOURCE>')
    .action(
      runAction(async ({ signal, output }, connector: string, resource: string, flags: PlaceFlags) => {
        const { grantRemove } = await import('./grants/ask.ts')
        await grantRemove({ ...flags, connector, resource, signal, output })
      }),
    )
  placeCommand(grant, 'list', 'show what a connector may open')
    .argument('<CONNECTOR>')
    .action(
      runAction(async ({ signal, output }, connector: string, flags: PlaceFlags) => {
        const { grantList } = await import('./grants/ask.ts')
        await grantList({ ...flags, connector, signal, output })
      }),
    )
}

function addRequests(grant: Command): void {
  placeCommand(grant, 'request', 'ask for a resource for a while; somebody else approves')
    .argument('<CONNECTOR>')
    .argument('<SITE/RESOURCE>')
    .requiredOption('--reason <TEXT>', 'what for')
    .option('--for <TIME>', 'how long, 1m to 30d', '1h')
    .action(
      runAction(
        async (
          { signal, output },
          connector: string,
          resource: string,
          flags: PlaceFlags & { reason: string; for: string },
        ) => {
          const { grantRequest } = await import('./grants/ask.ts')
          await grantRequest({ ...flags, connector, resource, signal, output })
        },
      ),
    )
  placeCommand(grant, 'requests', 'show who asked for access, and what became of it').action(
    runAction(async ({ signal, output }, flags: PlaceFlags) => {
      const { grantRequests } = await import('./grants/ask.ts')
      await grantRequests({ ...flags, signal, output })
    }),
  )
}

function addDecisions(grant: Command): void {
  placeCommand(grant, 'approve', "approve somebody else's request; the access ends by itself")
    .argument('<REQUEST>')
    .action(
      runAction(async ({ signal, output }, request: string, flags: PlaceFlags) => {
        const { grantApprove } = await import('./grants/ask.ts')
        await grantApprove({ ...flags, request, signal, output })
      }),
    )
  placeCommand(grant, 'refuse', 'refuse a request')
    .argument('<REQUEST>')
    .action(
      runAction(async ({ signal, output }, request: string, flags: PlaceFlags) => {
        const { grantRefuse } = await import('./grants/ask.ts')
        await grantRefuse({ ...flags, request, signal, output })
      }),
    )
}
