import { TunnelError } from '../../shared/errors.ts'
import type { Freeze } from '../store/access-store.ts'
import type { Opening } from './opening.ts'

/** What of a tenant is frozen, to be asked for every stream. */
export type Frozen = ReadonlyMap<string, Freeze>

/** Makes it from what the store lists. */
export function frozenOf(freezes: readonly Freeze[]): Frozen {
  return new Map(freezes.map((freeze) => [keyOf(freeze.kind, freeze.environment, freeze.name), freeze]))
}

/** @throws {TunnelError} FROZEN where anything that the stream needs is frozen */
export function checkFrozen(frozen: Frozen, { environment, site, resource, connector }: Opening): void {
  if (frozen.size === 0) return
  const freeze =
    frozen.get(keyOf('tenant', '', '')) ??
    frozen.get(keyOf('site', environment, site)) ??
    frozen.get(keyOf('resource', environment, `${site}/${resource}`)) ??
    (connector && frozen.get(keyOf('connector', environment, connector.name)))
  if (freeze !== undefined) throw new TunnelError('FROZEN', `${freeze.kind} ${freeze.name}`.trim())
}

/** No name has a blank in it. */
function keyOf(kind: Freeze['kind'], environment: string, name: string): string {
  return `${kind} ${environment} ${name}`
}
