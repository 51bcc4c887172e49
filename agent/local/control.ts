import type { ControlHandler } from '../../shared/control/serve.ts'
import { realEffects } from '../../shared/effects.ts'
import type { Agent } from '../agent.ts'

/** What the commands of this machine may ask of a running agent: method to handler. */
export function controlHandlers(agent: Agent): Readonly<Record<string, ControlHandler>> {
  return {
    status: async () => agent.status(),
    pause: async () => {
      // Said again, it keeps the time of the first.
      const since = agent.status().pausedSince ?? realEffects.date()
      await agent.pause({ since })
      return agent.status()
    },
    resume: async () => {
      await agent.pause(undefined)
      return agent.status()
    },
  }
}
