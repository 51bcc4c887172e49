import type { Command } from 'commander'
import { runAction } from '../../shared/cli/action.ts'

interface InstallFlags {
  readonly ipAllow?: boolean
  readonly print?: boolean
}

/** Adds `agent service` and its commands. */
export function addService(agent: Command): void {
  const service = agent
    .command('service')
    .description('the agent as a service of this machine: systemd, or the services of Windows')
  command(service, 'install', 'make or renew the service; it starts when the agent has joined')
    .option(
      '--ip-allow',
      'systemd: the kernel lets it reach only what relay, rules and name servers need now',
    )
    .option('--no-ip-allow', 'systemd: take that limit away again')
    .option('--print', 'show what would be written, and change nothing')
    .action(
      runAction(async ({ signal, output }, flags: InstallFlags) => {
        const { installService } = await import('./service-command.ts')
        await installService({ ...flags, signal, output })
      }),
    )
  command(service, 'uninstall', 'stop the service and take it away')
    .option('--purge', 'the identity, the rules and all else of the agent as well')
    .action(
      runAction(async ({ signal, output }, flags: { purge?: boolean }) => {
        const { uninstallService } = await import('./service-command.ts')
        await uninstallService({ purge: flags.purge === true, signal, output })
      }),
    )
  command(service, 'status', 'what the service manager says of it').action(
    runAction(async ({ signal, output }) => {
      const { serviceStatus } = await import('./service-command.ts')
      await serviceStatus({ signal, output })
    }),
  )
  command(service, 'restart', 'let streams end for a moment, then start it anew').action(
    runAction(async ({ signal, output }) => {
      const { restartService } = await import('./service-command.ts')
      await restartService({ signal, output })
    }),
  )
}

function command(parent: Command, name: string, description: string): Command {
  return parent.command(name).description(description).option('--json', 'one JSON object a line')
}
