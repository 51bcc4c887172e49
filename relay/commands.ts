import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { addBackup } from './backup/register.ts'
import { registerFreezes } from './freeze-commands.ts'
import { registerGrants } from './grant-commands.ts'
import { registerMachines } from './machine-commands.ts'
import { registerOperators } from './operator-commands.ts'
import { registerPeople } from './people-commands.ts'
import {
  askingCommand,
  type DataFlags,
  type PlaceFlags,
  placeCommand,
  relayCommand,
  type TenantFlags,
  tenantCommand,
  type ViewFlags,
  viewCommand,
} from './relay-command.ts'
import { registerRestrictions } from './restriction-commands.ts'
import { registerSso } from './sso-commands.ts'
import { registerSupport } from './support-commands.ts'
import type { UpOptions } from './up-command.ts'

interface RemovalFlags extends DataFlags {
  readonly export?: string
  readonly proof?: string
  readonly yes?: boolean
}

interface PublishFlags extends PlaceFlags {
  readonly tcp?: string
  readonly host?: string
  readonly sni?: string
}

/** Adds `relay` and its commands to the program. */
export function register(program: Command): void {
  const relay = program.command('relay').description('the relay in the cloud, and who may use it')
  addUp(relay)
  addJoinToken(relay)
  addConnector(relay)
  registerGrants(relay)
  registerFreezes(relay)
  registerMachines(relay)
  registerRestrictions(relay)
  registerSupport(relay)
  registerPeople(relay)
  registerSso(relay)
  addPublish(relay)
  addInspection(relay)
  addTenants(relay)
  addRekey(relay)
  registerOperators(relay)
  addEnvironments(relay)
  addBackup(relay)
}

function addUp(relay: Command): void {
  relayCommand(relay, 'up', 'start the relay; the first run makes database, CA and certificate')
    .option('--listen <HOST:PORT>', 'where agents, connectors and browsers come in', '[::]:443')
    .option(
      '--name <DNSNAME>',
      'the name by which they reach it (default: the listening address or this host)',
    )
    .option(
      '--require-release <CHANNEL/VERSION>',
      'take only agents that state this signed release or a later one',
    )
    .option('--metrics <HOST:PORT>', 'numbers for Prometheus at http://HOST:PORT/metrics; loopback only')
    .option('--certificate-life <TIME>', "lifetime of agents' certificates, 2m to 90d", '7d')
    .option('--key-command <PROGRAM>', 'a program that wraps the keys of secrets, in the place of master.key')
    .option('--backup-dir <DIR>', 'a backup each day into this directory: 14 days, 12 weeks, 12 months')
    .option('--backup-passphrase-file <FILE>', 'what seals them')
    .option('--delivery-range <CIDR...>', 'audit records may be sent there too, not to the internet only')
    .option(
      '--proxy-from <CIDR...>',
      'proxies here must say whose connections they bring: PROXY protocol, v1 or v2',
    )
    .option('--limit <NAME=VALUE...>', 'what strangers get at the door, such as pending-per-address=2000')
    .option('--sso-inside <HOST...>', 'identity providers that may be in a private network')
    .option('--log-level <LEVEL>', 'silent, error, warn, info or debug', 'info')
    .action(
      runAction(async ({ signal, output }, flags: Omit<UpOptions, 'signal' | 'output'>) => {
        const { up } = await import('./up-command.ts')
        await up({ ...flags, signal, output })
      }),
    )
}

function addJoinToken(relay: Command): void {
  placeCommand(relay, 'join-token', 'make a join string for one agent; it works once')
    .argument('<SITE>', 'the site that the agent belongs to')
    .option('--ttl <TIME>', 'how long the string works', '15m')
    .action(
      runAction(async ({ signal, output }, site: string, flags: PlaceFlags & { ttl: string }) => {
        const { joinToken } = await import('./control-commands.ts')
        await joinToken({ ...flags, site, signal, output })
      }),
    )
}

function addConnector(relay: Command): void {
  const connector = relay.command('connector').description('who may open streams')
  placeCommand(connector, 'add', 'add a connector and write its credentials file')
    .argument('<NAME>')
    .requiredOption('--resource <SITE/RESOURCE...>', 'what it may reach')
    .option('--by-token', 'it proves itself by tokens for a client secret, not by a certificate')
    .option('--out <FILE>', 'where to write the credentials, mode 0600 (default: NAME.credentials.json)')
    .action(
      runAction(
        async (
          { signal, output },
          name: string,
          flags: PlaceFlags & { resource: string[]; byToken?: boolean; out?: string },
        ) => {
          const { connectorAdd } = await import('./control-commands.ts')
          await connectorAdd({ ...flags, name, signal, output })
        },
      ),
    )
}

function addPublish(relay: Command): void {
  placeCommand(relay, 'publish', 'offer a resource at the relay itself')
    .argument('<SITE/RESOURCE>')
    .option('--tcp <HOST:PORT>', 'on a TCP address')
    .option('--host <NAME>', 'as HTTPS under a host name, with the certificate of the relay')
    .option('--sni <NAME>', 'under a name that TLS asks for; the target itself answers with its certificate')
    .action(
      runAction(async ({ signal, output }, resource: string, flags: PublishFlags) => {
        const { publish } = await import('./control-commands.ts')
        await publish({ ...flags, resource, signal, output })
      }),
    )
  placeCommand(relay, 'unpublish', 'take a resource back')
    .argument('<SITE/RESOURCE>')
    .action(
      runAction(async ({ signal, output }, resource: string, flags: PlaceFlags) => {
        const { unpublish } = await import('./control-commands.ts')
        await unpublish({ ...flags, resource, signal, output })
      }),
    )
}

function addInspection(relay: Command): void {
  placeCommand(relay, 'revoke', 'end an identity for good, with all its sessions')
    .argument('<KIND>', 'agent or connector')
    .argument('<NAME>', "an agent's site or id, or a connector's name")
    .action(
      runAction(async ({ signal, output }, kind: string, name: string, flags: PlaceFlags) => {
        const { revoke } = await import('./control-commands.ts')
        await revoke({ ...flags, kind, name, signal, output })
      }),
    )
  viewCommand(relay, 'list', 'show sites, agents, connectors and publications').action(
    runAction(async ({ signal, output }, flags: ViewFlags) => {
      const { list } = await import('./control-commands.ts')
      await list({ ...flags, signal, output })
    }),
  )
  viewCommand(relay, 'status', 'show what is connected now').action(
    runAction(async ({ signal, output }, flags: ViewFlags) => {
      const { status } = await import('./status-command.ts')
      await status({ ...flags, signal, output })
    }),
  )
}

function addTenants(relay: Command): void {
  const tenant = relay
    .command('tenant')
    .description('those who share this relay and know nothing of each other')
  askingCommand(tenant, 'add', 'add a tenant with the environments development, test and production')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: DataFlags) => {
        const { tenantAdd } = await import('./tenant-commands.ts')
        await tenantAdd({ ...flags, name, signal, output })
      }),
    )
  askingCommand(tenant, 'list', 'show the tenants and how much each has').action(
    runAction(async ({ signal, output }, flags: DataFlags) => {
      const { tenantList } = await import('./tenant-commands.ts')
      await tenantList({ ...flags, signal, output })
    }),
  )
  addTenantRemoval(tenant)
}

function addTenantRemoval(tenant: Command): void {
  askingCommand(tenant, 'export', 'write everything of a tenant into a file, as JSON')
    .argument('<NAME>')
    .argument('<FILE>')
    .action(
      runAction(async ({ signal, output }, name: string, file: string, flags: DataFlags) => {
        const { tenantExport } = await import('./removal-commands.ts')
        await tenantExport({ ...flags, name, file, signal, output })
      }),
    )
  askingCommand(tenant, 'remove', 'remove a tenant with everything of it, and keep a signed proof')
    .argument('<NAME>')
    .option('--export <FILE>', 'write everything of it into this file before')
    .option('--proof <FILE>', 'where the proof goes (default: NAME.removal.json)')
    .option('--yes', 'it is meant')
    .action(
      runAction(async ({ signal, output }, name: string, flags: RemovalFlags) => {
        const { tenantRemove } = await import('./removal-commands.ts')
        await tenantRemove({ ...flags, name, signal, output })
      }),
    )
  relayCommand(tenant, 'verify-proof', 'say whether a relay signed that a tenant was removed')
    .argument('<FILE>')
    .option('--ca <FILE>', "certificate of the relay's CA, where its data directory is not at hand")
    .action(
      runAction(async ({ output }, file: string, flags: DataFlags & { ca?: string }) => {
        const { verifyProof } = await import('./removal-commands.ts')
        await verifyProof({ ...flags, file, output })
      }),
    )
}

function addEnvironments(relay: Command): void {
  const environment = relay.command('env').description('the environments of a tenant; nothing reaches across')
  tenantCommand(environment, 'add', 'add an environment')
    .argument('<NAME>')
    .option('--is-production', 'what is asked of production is asked here too')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags & { isProduction?: boolean }) => {
        const { environmentAdd } = await import('./tenant-commands.ts')
        await environmentAdd({ ...flags, name, signal, output })
      }),
    )
  tenantCommand(environment, 'list', 'show the environments of a tenant').action(
    runAction(async ({ signal, output }, flags: TenantFlags) => {
      const { environmentList } = await import('./tenant-commands.ts')
      await environmentList({ ...flags, signal, output })
    }),
  )
  tenantCommand(environment, 'remove', 'remove an environment with nothing in it')
    .argument('<NAME>')
    .action(
      runAction(async ({ signal, output }, name: string, flags: TenantFlags) => {
        const { environmentRemove } = await import('./tenant-commands.ts')
        await environmentRemove({ ...flags, name, signal, output })
      }),
    )
}

function addRekey(relay: Command): void {
  askingCommand(relay, 'rekey', 'seal the secrets of the store under new keys')
    .option('--tenant <NAME>', 'those of one tenant only')
    .option('--master', 'a new master key instead: the keys of all tenants are wrapped anew')
    .action(
      runAction(async ({ signal, output }, flags: DataFlags & { tenant?: string; master?: boolean }) => {
        const { rekey } = await import('./tenant-commands.ts')
        await rekey({ ...flags, signal, output })
      }),
    )
}
