import { runProgram } from './shared/cli/program.ts'
import { realTerminal } from './shared/cli/terminal.ts'
import { PRODUCT_VERSION } from './shared/version.ts'

/** The `sallyport` command: finds the role that a command line names, and loads nothing of the others. */

// A reader that has gone, as in `sallyport relay list | head -1`, is no fault.
process.stdout.on('error', () => process.exit())

void runProgram(process.argv.slice(2), {
  name: 'sallyport',
  version: PRODUCT_VERSION,
  description: 'Reach services behind a firewall through a door that only the inside opens.',
  roles: new Map([
    ['relay', () => import('./relay/commands.ts')],
    ['agent', () => import('./agent/commands.ts')],
    ['connect', () => import('./connector/commands.ts')],
    ['verify', () => import('./shared/release/commands.ts')],
  ]),
  terminal: realTerminal,
})
