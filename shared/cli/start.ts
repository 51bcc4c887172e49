import { PRODUCT_VERSION } from '../version.ts'
import { type ProgramOptions, runProgram } from './program.ts'
import { realTerminal } from './terminal.ts'

/** Runs this process's command line as `sallyport` with some of its roles. Loads no role but the one that is named. */
export function startCommandLine(roles: ProgramOptions['roles']): void {
  // A reader that has gone, as in `sallyport relay list | head -1`, is no fault.
  process.stdout.on('error', () => process.exit())
  void runProgram(process.argv.slice(2), {
    name: 'sallyport',
    version: PRODUCT_VERSION,
    description: 'Reach services behind a firewall through a door that only the inside opens.',
    roles,
    terminal: realTerminal,
  })
}
