import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { askingCommand, type DataFlags } from './relay-command.ts'

interface ApplyFlags extends DataFlags {
  readonly plan?: string
  readonly yes?: boolean
  readonly out: string
}

interface ExportFlags extends DataFlags {
  readonly tenant: readonly string[]
  readonly allTenants?: boolean
}

/** Adds `plan`, `apply` and `export` to the program. */
export function register(program: Command): void {
  askingCommand(
    program,
    'plan',
    'show what at the relay is not as a file declares it; status 8 where something is not',
  )
    .argument('<FILE>', 'TOML, or JSON where its name ends so: docs/declare.md')
    .option('--drift', 'say nothing where nothing differs: for cron')
    .action(
      runAction(async ({ signal, output }, file: string, flags: DataFlags & { drift?: boolean }) => {
        const { plan } = await import('./declare/commands.ts')
        await plan({ ...flags, file, env: process.env, signal, output })
      }),
    )
  askingCommand(program, 'apply', 'make the relay what a file declares, all of a tenant or nothing')
    .argument('<FILE>', 'TOML, or JSON where its name ends so: docs/declare.md')
    .option('--plan <DIGEST>', 'this plan and no other, as sallyport plan printed it; asks nothing')
    .option('--yes', 'ask nothing')
    .option('--out <DIR>', 'where credentials and secrets go that are shown once, mode 0600', '.')
    .action(
      runAction(async ({ signal, output, terminal }, file: string, flags: ApplyFlags) => {
        const { apply } = await import('./declare/commands.ts')
        await apply({ ...flags, file, env: process.env, signal, output, terminal })
      }),
    )
  askingCommand(program, 'export', 'print what there is as such a file, without secrets')
    .option('--tenant <NAME...>', 'whose', ['default'])
    .option('--all-tenants', 'all of the relay: for its operator')
    .action(
      runAction(async ({ signal, output }, flags: ExportFlags) => {
        const { exportDeclared } = await import('./declare/commands.ts')
        await exportDeclared({ ...flags, signal, output })
      }),
    )
}
