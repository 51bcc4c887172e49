import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { addNetworkFlags } from '../shared/network/flags.ts'

interface ConnectFlags extends NetworkChoice {
  readonly listen: string
  readonly credentials: string
}

/** Adds `connect` to the program. */
export function register(program: Command): void {
  const command = program
    .command('connect')
    .description('forward a local port to a resource behind the firewall')
    .argument('<SITE/RESOURCE>', 'what to reach')
    .option('--listen <HOST:PORT>', 'local address; port 0 lets the system choose', '127.0.0.1:0')
    .requiredOption('--credentials <FILE>', 'the file that `sallyport relay connector add` wrote')
    .option('--json', 'one JSON object a line')
  addNetworkFlags(command, { inspector: false }).action(
    runAction(async ({ signal, output }, resource: string, flags: ConnectFlags) => {
      const { connect } = await import('./connect-command.ts')
      await connect({ resource, ...flags, environment: process.env, signal, output })
    }),
  )
}
