import type { Command } from 'commander'
import { defaultDataDirectory } from '../shared/config/data-directory.ts'

const DEFAULT_DATA = defaultDataDirectory('relay', process.env, process.getuid?.() === 0)

/** Adds a command about a relay's data directory. */
export function relayCommand(parent: Command, name: string, description: string): Command {
  return parent
    .command(name)
    .description(description)
    .option('--data <DIR>', 'data directory of the relay', DEFAULT_DATA)
    .option('--json', 'one JSON object a line')
}

/** Adds a command that asks a running relay: the one of the data directory, or another one. */
export function askingCommand(parent: Command, name: string, description: string): Command {
  return relayCommand(parent, name, description).option(
    '--relay <URL>',
    'ask the relay at https://HOST[:PORT] instead, as whoever logged in there: sallyport login',
  )
}

/** Of a command that asks a running relay. */
export interface DataFlags {
  readonly data: string
  readonly relay?: string
}

/** Of a command about a tenant. */
export interface TenantFlags extends DataFlags {
  readonly tenant: string
}

/** Of a command about an environment. */
export interface PlaceFlags extends TenantFlags {
  readonly env: string
}

/** Without an environment they show all of the tenant. */
export interface ViewFlags extends TenantFlags {
  readonly env?: string
}

/** Adds a command about a tenant. */
export function tenantCommand(parent: Command, name: string, description: string): Command {
  return askingCommand(parent, name, description).option('--tenant <NAME>', 'whose', 'default')
}

/** Adds a command about an environment. */
export function placeCommand(parent: Command, name: string, description: string): Command {
  return tenantCommand(parent, name, description).option('--env <NAME>', 'in which environment', 'production')
}

/** Adds a command that shows a tenant, or one environment of it. */
export function viewCommand(parent: Command, name: string, description: string): Command {
  return tenantCommand(parent, name, description).option('--env <NAME>', 'one environment only')
}
