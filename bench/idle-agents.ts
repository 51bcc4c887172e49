import { setMaxListeners } from 'node:events'
import { join } from 'node:path'
import { runProgram } from '../shared/cli/program.ts'
import { realTerminal } from '../shared/cli/terminal.ts'
import { PRODUCT_VERSION } from '../shared/version.ts'

/** Runs `agent run` for the data folders a1 to aCOUNT of a folder, all in this one process: `idle-agents.ts FOLDER COUNT`. */

const [folder = '', count = ''] = process.argv.slice(2)
if (folder === '' || !/^[1-9]\d{0,4}$/.test(count)) throw new Error('usage: idle-agents.ts FOLDER COUNT')

// Every command listens for the signals that end it.
setMaxListeners(0, process)
const roles = new Map([['agent', () => import('../agent/commands.ts')]])
for (let i = 1; i <= Number(count); i++) {
  void runProgram(['agent', 'run', '--data', join(folder, `a${i}`)], {
    name: 'sallyport',
    version: PRODUCT_VERSION,
    description: 'idle agents of the benchmark',
    roles,
    terminal: realTerminal,
  })
}
