import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import type { NetworkChoice } from '../shared/network/choice.ts'
import { addNetworkFlags } from '../shared/network/flags.ts'

interface ConnectFlags extends NetworkChoice {
  readonly listen: string
  readonly credentials: string
  readonly renew: boolean
}

interface ExportFlags {
  readonly credentials: string
  readonly pkcs12: string
  readonly trust?: string
  readonly passwordFile?: string
}

/** Adds `connect` and `identity` to the program. */
export function register(program: Command): void {
  addConnect(program)
  addExport(program)
}

function addConnect(program: Command): void {
  const command = program
    .command('connect')
    .description('forward a local port to a resource behind the firewall')
    .argument('<SITE/RESOURCE>', 'what to reach')
    .option('--listen <HOST:PORT>', 'local address; port 0 lets the system choose', '127.0.0.1:0')
    .requiredOption('--credentials <FILE>', 'the file that `sallyport relay connector add` wrote')
    .option('--no-renew', 'leave the certificate as it is, where the file is used on several machines')
    .option('--json', 'one JSON object a line')
  addNetworkFlags(command, { inspector: false }).action(
    runAction(async ({ signal, output }, resource: string, flags: ConnectFlags) => {
      const { connect } = await import('./connect-command.ts')
      await connect({ resource, ...flags, environment: process.env, signal, output })
    }),
  )
}

function addExport(program: Command): void {
  program
    .command('identity')
    .description("a connector's key and certificate")
    .command('export')
    .description('write them as PKCS#12, for Java and .NET')
    .requiredOption('--credentials <FILE>', 'the file that `sallyport relay connector add` wrote')
    .requiredOption('--pkcs12 <FILE>', 'where to write key, certificate and chain, mode 0600')
    .option('--trust <FILE>', "where to write the relay's CA, as a trust store for Java")
    .option('--password-file <FILE>', 'the password of both; - is standard input (default: it is asked for)')
    .option('--json', 'one JSON object a line')
    .action(
      runAction(async ({ signal, output, terminal }, flags: ExportFlags) => {
        const { identityExport } = await import('./identity-command.ts')
        await identityExport({ ...flags, terminal, signal, output })
      }),
    )
}
