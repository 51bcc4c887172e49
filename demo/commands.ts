import type { Command } from 'commander'
import { runAction } from '../shared/cli/action.ts'
import { parentGone } from './parent.ts'

/** Gives the program its one action. */
export function register(program: Command): void {
  program
    .option('--once', 'end after the check; status 0 only where every byte came back right')
    .option('--json', 'one JSON object instead of text')
    .action(
      runAction(async ({ signal: asked, output }, { once = false }: { once?: boolean }) => {
        const [{ demonstrate }, { startHttpService }, { startPostgres }] = await Promise.all([
          import('./demonstrate.ts'),
          import('./services/http.ts'),
          import('./services/postgres.ts'),
        ])
        const services = { startHttp: startHttpService, startPostgres }
        const signal = AbortSignal.any([asked, parentGone()])
        await demonstrate({ services, once, signal, output })
      }),
    )
}
