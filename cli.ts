import { startCommandLine } from './shared/cli/start.ts'

const declaring = () => import('./relay/declare-commands.ts')
const connecting = () => import('./connector/commands.ts')

/** The `sallyport` command: finds the role that a command line names, and loads nothing of the others. */
startCommandLine(
  new Map([
    ['relay', () => import('./relay/commands.ts')],
    ['audit', () => import('./relay/audit-commands.ts')],
    ['plan', declaring],
    ['apply', declaring],
    ['export', declaring],
    ['login', () => import('./relay/login-commands.ts')],
    ['logout', () => import('./relay/logout-commands.ts')],
    ['set-password', () => import('./relay/set-password-commands.ts')],
    ['account', () => import('./relay/account-commands.ts')],
    ['agent', () => import('./agent/commands.ts')],
    ['connect', connecting],
    ['identity', connecting],
    ['verify', () => import('./shared/release/commands.ts')],
  ]),
)
