import { startCommandLine } from './shared/cli/start.ts'

/** The `sallyport` command: finds the role that a command line names, and loads nothing of the others. */
startCommandLine(
  new Map([
    ['relay', () => import('./relay/commands.ts')],
    ['audit', () => import('./relay/audit-commands.ts')],
    ['login', () => import('./relay/login-commands.ts')],
    ['logout', () => import('./relay/logout-commands.ts')],
    ['set-password', () => import('./relay/set-password-commands.ts')],
    ['account', () => import('./relay/account-commands.ts')],
    ['agent', () => import('./agent/commands.ts')],
    ['connect', () => import('./connector/commands.ts')],
    ['verify', () => import('./shared/release/commands.ts')],
  ]),
)
