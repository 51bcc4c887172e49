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
