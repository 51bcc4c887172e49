import { startCommandLine } from '../../../shared/cli/start.ts'

/** The executable for the site: the agent, and no code of any other role. */
startCommandLine(
  new Map([
    ['agent', () => import('../../../agent/commands.ts')],
    ['verify', () => import('../../../shared/release/commands.ts')],
  ]),
)
