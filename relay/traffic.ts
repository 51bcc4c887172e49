import type { Audit } from './audit/record.ts'
import type { AuthorityContext } from './authority/context.ts'
import { copyAlarm } from './enforcement/copy-alarm.ts'
import { Enforcement } from './enforcement/enforcement.ts'
import { Sessions } from './gateway/sessions.ts'
import { Streams, type StreamsOptions } from './gateway/streams.ts'
import { RelayCounts } from './metrics/counts.ts'
import type { Relay, RelayOptions } from './relay.ts'

/** What moves through a relay. */
export interface Traffic {
  readonly sessions: Sessions
  readonly streams: Streams
  readonly enforcement: Enforcement
  readonly enforce: Relay['enforce']
  readonly counts: RelayCounts
}

/** The living sessions and the streams over them, and what watches both. */
export async function trafficOf(
  { effects, log }: Pick<RelayOptions, 'effects' | 'log'>,
  { store, closed, copies }: AuthorityContext,
  audit: Audit,
): Promise<Traffic> {
  const counts = new RelayCounts(effects)
  const sessions = new Sessions({
    effects,
    log,
    copies,
    findAgent: (tenantId, id) => store.findAgent(tenantId, id),
    onAgent: (place) => streams.agentCame(place),
  })
  const enforcement = new Enforcement({ store, closed, sessions, effects, log })
  const countAgents: StreamsOptions['countAgents'] = async ({ tenantId, environment, site }) => {
    const agents = await store.listAgents(tenantId, { environment, site })
    return agents.filter(({ revokedAt }) => revokedAt === undefined).length
  }
  const streams: Streams = new Streams({ sessions, enforcement, audit, counts, effects, log, countAgents })
  await enforcement.start()
  const enforce = (tenantId: string) => enforcement.enforce(tenantId)
  copies.onFound(copyAlarm({ store, audit, enforce, effects, log }))
  return { sessions, streams, enforcement, enforce, counts }
}
