import type { Relay } from '../relay.ts'
import type { MetricFamily, Sample } from './exposition.ts'
import type { LoopDelay } from './loop-delay.ts'

/** What of a relay the metrics are made from. */
export type Measured = Pick<Relay, 'sessions' | 'streams' | 'admission' | 'counts'>

const KINDS = ['agent', 'connector'] as const

/**
 * The numbers of a relay now. Labels hold codes and fixed words only, never a tenant, a site or an id: so a scrape stays as
 * long as it is, and says nothing of whose streams they are.
 */
export function collectMetrics(relay: Measured, loopDelay: LoopDelay): readonly MetricFamily[] {
  return [...gauges(relay, loopDelay), ...counters(relay)]
}

function gauges({ sessions, streams, admission }: Measured, loopDelay: LoopDelay): MetricFamily[] {
  const live = sessions.list()
  const perKind = (of: (one: (typeof live)[number]) => number): Sample[] =>
    KINDS.map((kind) => ({
      labels: { kind },
      value: live.reduce((sum, one) => sum + (one.principal.kind === kind ? of(one) : 0), 0),
    }))
  const agents = new Set(live.flatMap(({ principal }) => (principal.kind === 'agent' ? principal.id : [])))
  const { pending, visitors } = admission.counts
  return [
    gauge('sallyport_agents', 'Agents with a session.', [{ value: agents.size }]),
    gauge(
      'sallyport_sessions',
      'Sessions, by who holds them.',
      perKind(() => 1),
    ),
    gauge(
      'sallyport_links',
      'Connections of all sessions.',
      perKind(({ session }) => session.linkCount),
    ),
    gauge(
      'sallyport_streams',
      'Streams that sessions carry now.',
      perKind(({ session }) => session.streamCount),
    ),
    gauge('sallyport_streams_waiting', "Streams of the relay's own that wait for an agent.", [
      { value: streams.waitingCount },
    ]),
    gauge(
      'sallyport_queued_bytes',
      'Bytes that wait at the relay.',
      perKind(({ session }) => session.queuedBytes),
    ),
    gauge('sallyport_connections', 'Connections that are no sessions.', [
      { labels: { standing: 'pending' }, value: pending },
      { labels: { standing: 'visitor' }, value: visitors },
    ]),
    gauge(
      'sallyport_event_loop_delay_p99_seconds',
      'How late timers run, over the last one to two minutes.',
      [{ value: loopDelay.p99() }],
    ),
  ]
}

function counters({ counts, admission }: Measured): MetricFamily[] {
  const { resumed, failed } = counts.resumes.summary()
  const { toSite, fromSite } = counts.bytes
  return [
    counter('sallyport_resumes_total', 'Searches for a new path of a stream; OK: the stream went on.', [
      { labels: { outcome: 'OK' }, value: resumed },
      ...Object.entries(failed).map(([outcome, value]) => ({ labels: { outcome }, value })),
    ]),
    counter('sallyport_stream_bytes_total', 'Bytes of streams, counted when a stream or a path of it ends.', [
      { labels: { direction: 'to_site' }, value: toSite },
      { labels: { direction: 'from_site' }, value: fromSite },
    ]),
    counter(
      'sallyport_refusals_total',
      'Streams that reached no target, and upgrades that were not granted.',
      counts.refusals.map(({ at, code, count }) => ({ labels: { at, code }, value: count })),
    ),
    counter(
      'sallyport_connections_refused_total',
      'Connections closed at the door because there were too many.',
      [{ value: admission.counts.refused }],
    ),
  ]
}

function gauge(name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name, kind: 'gauge', help, samples }
}

function counter(name: string, help: string, samples: readonly Sample[]): MetricFamily {
  return { name, kind: 'counter', help, samples }
}
