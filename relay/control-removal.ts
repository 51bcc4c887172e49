import * as v from 'valibot'
import type { ControlHandler } from '../shared/control/serve.ts'
import { TunnelError } from '../shared/errors.ts'
import { makeRemovalProof } from './authority/removal-proof.ts'
import { method, operatorAct, textParam } from './control-method.ts'
import { requireTenant } from './control-tenants.ts'
import type { Relay } from './relay.ts'

/**
 * What `tenant remove` asks of the relay, step by step: it closes the tenant, so that nothing happens in it while it is
 * exported, and removes it. A relay that starts again opens what was closed and not removed.
 */
export function removalHandlers(relay: Relay): Readonly<Record<string, ControlHandler>> {
  const { authority, publications, sessions, trail } = relay
  const { store, effects, closed } = authority
  const named = v.strictObject({ name: textParam })
  return {
    'tenant-close': method(named, async ({ name }) => {
      await requireTenant(relay, name)
      closed.add(name)
      await publications.close(name)
      const ended = sessions.revokeTenant(name)
      await trail.flush()
      return { sessions: ended }
    }),
    'tenant-open': method(named, async ({ name }) => {
      if (closed.delete(name)) await publications.open(name)
      return {}
    }),
    'tenant-remove': method(named, async ({ name }) => {
      await requireTenant(relay, name)
      if (!closed.has(name)) throw new TunnelError('CONFLICT', `${name} is not closed.`)
      await trail.flush()
      const act = operatorAct(effects)
      const removal = await store.relay.removeTenant(name, act)
      closed.delete(name)
      if (removal === undefined) throw new TunnelError('NOT_FOUND', `There is no tenant ${name}.`)
      return { proof: makeRemovalProof(authority.authority, name, removal, act.at) }
    }),
  }
}
