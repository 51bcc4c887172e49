import type { ControlHandler } from '../shared/control/serve.ts'
import { OPERATIONS } from './operations/list.ts'
import { runOperation } from './operations/run.ts'
import type { Relay } from './relay.ts'

/** What the commands on this machine ask of the relay: every operation by its name, for a caller that may do everything. */
export function controlHandlers(relay: Relay): Readonly<Record<string, ControlHandler>> {
  const { effects } = relay.authority
  return Object.fromEntries(
    OPERATIONS.map((operation) => [
      operation.name,
      (params: unknown, signal: AbortSignal) => {
        const traceId = effects.randomBytes(16).toString('hex')
        return runOperation(
          operation,
          { relay, caller: { kind: 'operator' }, source: 'local', traceId, signal },
          params,
        )
      },
    ]),
  )
}
