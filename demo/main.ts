import { enableCompileCache } from 'node:module'
import { join } from 'node:path'

// Beside the packages, as bin/sallyport.js does: saves stripping the types again at each start.
enableCompileCache(join(import.meta.dirname, '../node_modules/.cache/compiled'))

const { runProgram } = await import('../shared/cli/program.ts')
const { realTerminal } = await import('../shared/cli/terminal.ts')
const { PRODUCT_VERSION } = await import('../shared/version.ts')

// A reader that has gone, as in `npm start | head -1`: there is nobody left to show anything to. What runs is ended by
// the janitors, as after any sudden death.
process.stdout.on('error', () => process.exit())
// A terminal that was closed must not keep us from ending in order.
process.stderr.on('error', () => undefined)

/** `npm start`. */
await runProgram(process.argv.slice(2), {
  name: 'npm start --',
  version: PRODUCT_VERSION,
  description:
    'Shows the whole road on this machine: relay, agent, connector, and two real services behind them.',
  roles: new Map([['demo', () => import('./commands.ts')]]),
  terminal: realTerminal,
})
