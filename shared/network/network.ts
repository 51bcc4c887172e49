import type net from 'node:net'
import type { Effects } from '../effects.ts'
import { reach } from './reach.ts'
import type { Route, Target } from './route.ts'
import type { Step } from './step.ts'

/** How this process gets out of its network. One for the whole process: it remembers what does not work. */
export interface Network {
  /**
   * The routes to `target` in the order in which they are tried; at least one.
   * @throws {TunnelError} PAC, CONFIG, PERMISSIONS
   */
  routesTo(target: Target, signal: AbortSignal): Promise<readonly Route[]>
  /**
   * Opens a TCP connection to `target` by the first route that works.
   * @throws {TunnelError} what the last route failed with; PROXY_AUTH at once, without trying the next
   */
  reach(target: Target, signal: AbortSignal, onStep?: (step: Step) => void): Promise<net.Socket>
}

/** A network without proxies. */
export function directNetwork(effects: Effects): Network {
  const route: Route = { kind: 'direct' }
  return {
    routesTo: async () => [route],
    reach: (target, signal, onStep) =>
      reach(target, route, { signal, effects, ...(onStep === undefined ? {} : { onStep }) }),
  }
}
