import type { Effects } from '../effects.ts'

/** Silence after which a peer is asked whether it lives, in ms; below every common idle cut-off of 30 s and more. */
export const PING_INTERVAL_MS = 20_000

/** `intervalMs` give or take a fifth, so that thousands of tunnels do not ask at the same moment. */
export function jitteredInterval(intervalMs: number, effects: Pick<Effects, 'random'>): number {
  return intervalMs * (0.8 + 0.4 * effects.random())
}
