import { randomBytes } from 'node:crypto'
import { readIdentity } from '../../agent/identity-store.ts'
import { type Effects, realEffects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { RelayAddress } from '../../shared/identity/relay-address.ts'
import type { Session } from '../../shared/mux/session.ts'
import type { OpenFrame } from '../../shared/mux/session-handler.ts'
import { createWindowBudget } from '../../shared/mux/window.ts'
import { type ClientTunnel, openClientTunnel } from '../../shared/tunnel/client-tunnel.ts'
import type { TunnelIdentity } from '../../shared/tunnel/dial-relay.ts'

export interface BareTunnelOptions {
  readonly path: '/v1/agent' | '/v1/connector'
  readonly address: RelayAddress
  readonly identity: TunnelIdentity
  readonly effects?: Effects
  /** Of the process; random by default. */
  readonly instance?: Buffer
  /** Names of sessions that it claims to have; none by default. */
  readonly held?: readonly string[]
  readonly opening?: (frame: OpenFrame, session: Session) => void
}

/** One session with a relay and nothing round it: no renewal, no reconnecting. */
export function openBareTunnel(options: BareTunnelOptions): Promise<ClientTunnel> {
  return openClientTunnel({
    effects: realEffects,
    budget: createWindowBudget(1024 * 1024),
    mask: 'zero',
    hello: () => ({ instance: options.instance ?? randomBytes(16), held: options.held ?? [] }),
    opening: () => {
      throw new TunnelError('REFUSED')
    },
    signal: AbortSignal.timeout(10_000),
    ...options,
    identity: () => options.identity,
  })
}

/** What an agent proves itself with, from its data directory. */
export async function identityOf(directory: string): Promise<TunnelIdentity> {
  const identity = await readIdentity(directory)
  if (identity === undefined) throw new Error(`no agent in ${directory}`)
  return identity
}
