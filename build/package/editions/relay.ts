import { startCommandLine } from '../../../shared/cli/start.ts'

const connecting = () => import('../../../connector/commands.ts')
const declaring = () => import('../../../relay/declare-commands.ts')

/** The executable for the cloud: relay with its audit chains, and connector. */
startCommandLine(
  new Map([
    ['relay', () => import('../../../relay/commands.ts')],
    ['audit', () => import('../../../relay/audit-commands.ts')],
    ['login', () => import('../../../relay/login-commands.ts')],
    ['logout', () => import('../../../relay/logout-commands.ts')],
    ['set-password', () => import('../../../relay/set-password-commands.ts')],
    ['account', () => import('../../../relay/account-commands.ts')],
    ['plan', declaring],
    ['apply', declaring],
    ['export', declaring],
    ['connect', connecting],
    ['identity', connecting],
    ['verify', () => import('../../../shared/release/commands.ts')],
  ]),
)
