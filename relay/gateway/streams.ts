import type { X509Certificate } from 'node:crypto'
import type { Duplex } from 'node:stream'
import type { Effects } from '../../shared/effects.ts'
import { codeFromWire, type ErrorCode, isTunnelError, TunnelError } from '../../shared/errors.ts'
import { decodeOpenMeta, encodeOpenMeta, type OpenMeta } from '../../shared/handshake/open.ts'
import { parseResourceName, type ResourceName } from '../../shared/identity/names.ts'
import type { Logger } from '../../shared/log.ts'
import { Route } from '../../shared/mux/route.ts'
import { isReattach, type OpenFrame } from '../../shared/mux/session-handler.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import type { StreamHandler } from '../../shared/mux/stream-handler.ts'
import { TunnelDuplex } from '../../shared/tunnel/duplex.ts'
import type { OpenRequest } from '../../shared/tunnel/opener.ts'
import { Resumption } from '../../shared/tunnel/resumption.ts'
import type { Audit, AuditActor } from '../audit/record.ts'
import { StreamTale } from '../audit/stream-tale.ts'
import type { Enforcement } from '../enforcement/enforcement.ts'
import type { Living, Opening } from '../enforcement/opening.ts'
import type { RelayCounts } from '../metrics/counts.ts'
import type { SitePlace } from '../store/store.ts'
import { agentName, type LiveSession, type Sessions } from './sessions.ts'
import { Turns } from './turns.ts'
import { type Sent, Whereabouts, type WhereaboutsOptions } from './whereabouts.ts'

/** @throws {TunnelError} DENIED_BY_RELAY for what cannot be granted because it is no name */
function nameOf(resource: string): ResourceName {
  if (!resource.includes('/')) throw new TunnelError('DENIED_BY_RELAY')
  return parseResourceName(resource)
}

const THE_RELAY: AuditActor = { kind: 'relay', id: '' }

interface Forwarding {
  readonly route: Route
  readonly frame: OpenFrame
  readonly from: LiveSession
  readonly meta: OpenMeta & { readonly trace: string }
  /** The route ends from now on where it is no longer allowed. */
  readonly watch: (living: Living) => void
  /** The OPEN goes to an agent, where both ends may outlive the path. */
  readonly note: (sent: Sent) => void
}

/** What belongs to a stream of the relay's own. */
interface Own {
  readonly living: Living
  readonly tale: StreamTale
  /** The target was dialled. */
  isReached: boolean
}

/** What is asked for a stream of the relay's own. */
export interface OwnRequest extends Omit<OpenRequest, 'signal'> {
  /** Address of the publication through which it comes. */
  readonly publication?: string
  /** What the other end of the visitor's connection showed, whoever issued it. */
  readonly certificate?: X509Certificate | undefined
}

export interface StreamsOptions {
  readonly sessions: Sessions
  readonly enforcement: Pick<Enforcement, 'add' | 'remove' | 'check' | 'authorize'>
  readonly audit: Audit
  readonly counts: RelayCounts
  readonly effects: Effects
  readonly log: Logger
  readonly countAgents: WhereaboutsOptions['countAgents']
}

/** How streams come about at the relay: connectors' are authorised and routed, its own listeners' are opened here. */
export class Streams {
  readonly #options: StreamsOptions
  /** Each connector's session waits for its own look-ups only. */
  readonly #turns = new WeakMap<LiveSession, Turns>()

  readonly #resumption: Resumption<Own>
  /** Of connectors' streams. */
  readonly #whereabouts: Whereabouts

  constructor(options: StreamsOptions) {
    this.#options = options
    this.#whereabouts = new Whereabouts({ ...options, instance: options.sessions.instance })
    const { sessions, enforcement, effects, log, counts } = options
    this.#resumption = new Resumption({
      effects,
      path: ({ living: { opening } }, agent) => {
        // A new path is asked for like a new stream.
        enforcement.check(opening)
        const live = sessions.pickAgent(opening, opening.resource, agent)
        return { session: live.session, agent: agentName(live) }
      },
      onResumed: ({ resource, trace }, attempts) => {
        counts.resumes.note('OK')
        log.info({ resource, trace, attempts }, 'stream resumed')
      },
      onGivenUp: ({ resource, trace }, error) => {
        counts.resumes.note(error.code)
        log.info({ resource, trace, code: error.code }, 'stream given up')
      },
      onOpened: (own) => {
        own.isReached = true
        own.tale.opened()
      },
      onClosed: ({ living, tale, isReached }, { bytesSent, bytesReceived }, error) => {
        const code = error?.code ?? 'OK'
        if (!isReached) counts.refused('stream', code)
        counts.carried(bytesSent, bytesReceived)
        tale.closed(code, bytesSent, bytesReceived)
        enforcement.remove(living)
      },
    })
  }

  /**
   * An OPEN of a connector: goes on to an agent of the site once the grant was found, with what the relay knows of the
   * opener in place of what the connector says.
   * @throws {TunnelError} PROTOCOL
   */
  route(frame: OpenFrame, from: LiveSession): void {
    const meta = decodeOpenMeta(frame.meta)
    const trace = meta.trace ?? this.#newTrace()
    const { log, audit, effects, counts, enforcement } = this.#options
    const { tenantId, environment, id } = from.principal
    const isSearch = isReattach(frame)
    let isAccepted = false
    let unwatch: () => void = () => undefined
    let sent: Sent | undefined
    const tale = new StreamTale({
      audit,
      effects,
      tenantId,
      environment,
      actor: { kind: 'connector', id },
      source: from.sourceAddress,
      object: meta.resource,
      traceId: trace,
      attempt: meta.attempt,
    })
    const route = new Route(from.session, frame, {
      accepted: () => {
        isAccepted = true
        if (isSearch) counts.resumes.note('OK')
        tale.opened()
      },
      ended: (wire, up, down) => {
        unwatch()
        const { resource } = meta
        const code = codeFromWire(wire)
        if (sent !== undefined) this.#whereabouts.ended(sent, code, isAccepted)
        if (!isAccepted && isSearch) counts.resumes.note(code)
        else if (!isAccepted) counts.refused('stream', code)
        counts.carried(up, down)
        log.info({ trace, connector: id, resource, code, sent: up, received: down }, 'stream closed')
        tale.closed(code, up, down)
      },
    })
    const note = (it: Sent) => {
      sent = it
    }
    const watch = (living: Living) => {
      enforcement.add(living)
      unwatch = () => enforcement.remove(living)
    }
    this.#forward({ route, frame, from, meta: { ...meta, trace }, watch, note }).catch((error: unknown) => {
      if (!isTunnelError(error)) log.error({ err: error, trace }, 'stream not routed')
      const code: ErrorCode = isTunnelError(error) ? error.code : 'INTERNAL'
      route.end(code, isTunnelError(error) ? error.detail : '')
    })
  }

  async #forward({ route, frame, from, meta, watch, note }: Forwarding): Promise<void> {
    const { principal } = from
    const { site, resource } = nameOf(meta.resource)
    const { enforcement, sessions } = this.#options
    const { tenantId, environment, id } = principal
    const opener = principal.kind === 'connector' ? principal.name : id
    const living: Living = {
      opening: {
        tenantId,
        environment,
        site,
        resource,
        connector: { id, name: opener },
        source: from.sourceAddress,
        certificate: from.certificate,
      },
      end: (error) => route.end(error.code, error.detail),
    }
    // Before it is authorised: a change that comes in between finds it.
    watch(living)
    await this.#turnsOf(from).run(async () => {
      if (!route.isOver) await enforcement.authorize(living)
    })
    const place = { tenantId, environment, site }
    await this.#whereabouts.check(frame, meta, place)
    if (route.isOver) return
    const live = sessions.pickAgent(place, resource, this.#whereabouts.agentFor(frame, meta))
    const { protocol, trace, secret, attempt, fresh } = meta
    const onward = { resource, protocol, trace, secret, attempt, fresh }
    const told = { opener: `connector:${opener}`, source: from.sourceAddress }
    route.forward(live.session, frame, encodeOpenMeta({ ...onward, ...told }))
    if (secret === undefined) return
    note(this.#whereabouts.sent(secret, agentName(live)))
    if (!isReattach(frame) || fresh === true) route.tellRouted(agentName(live))
  }

  /**
   * Opens a stream of the relay's own, for a listener or the HTTP ingress.
   * @throws {TunnelError} AGENT_OFFLINE, DRAINING, OVERLOADED, FROZEN, RESTRICTED: nothing was dialled
   */
  open(request: OwnRequest, handler: StreamHandler): Stream {
    const { tenantId, environment, site, resource, protocol, sourceAddress, publication, certificate } =
      request
    const trace = request.traceId ?? this.#newTrace()
    const meta = { resource, protocol, opener: 'relay', source: sourceAddress, trace }
    const { audit, effects } = this.#options
    const tale = new StreamTale({
      audit,
      effects,
      tenantId,
      environment,
      actor: THE_RELAY,
      source: sourceAddress,
      object: `${site}/${resource}`,
      traceId: trace,
    })
    try {
      const source = sourceAddress
      const opening: Opening = { tenantId, environment, site, resource, publication, certificate, source }
      const living: Living = { opening, end: (error) => stream.giveUp(error) }
      const stream = this.#resumption.open({ living, tale, isReached: false }, meta, handler)
      this.#options.enforcement.add(living)
      return stream
    } catch (error) {
      const code = isTunnelError(error) ? error.code : 'INTERNAL'
      this.#options.counts.refused('stream', code)
      tale.closed(code, 0, 0)
      throw error
    }
  }

  /** Streams of the relay's own that wait for a path. */
  get waitingCount(): number {
    return this.#resumption.waitingCount
  }

  /** An agent of a site has come: streams that wait for it go on. */
  agentCame({ tenantId, environment, site }: SitePlace): void {
    this.#resumption.tryNow(
      ({ living: { opening: place } }) =>
        place.tenantId === tenantId && place.environment === environment && place.site === site,
    )
  }

  /** The relay ends, and with it the streams of its own; their agents are told. */
  close(): void {
    this.#resumption.close(new TunnelError('DRAINING'))
  }

  /** The same as a Duplex, which is destroyed with the error where there is one. */
  openDuplex(request: OwnRequest & Pick<OpenRequest, 'signal'>): Duplex {
    const duplex = new TunnelDuplex()
    const { signal, ...rest } = request
    try {
      duplex.stream = this.open(rest, duplex.handler)
    } catch (error) {
      // 'error' is emitted in the next tick, when the caller listens.
      return duplex.destroy(error as Error)
    }
    if (signal !== undefined) duplex.destroyOn(signal)
    return duplex
  }

  #turnsOf(from: LiveSession): Turns {
    const known = this.#turns.get(from)
    if (known !== undefined) return known
    const turns = new Turns()
    this.#turns.set(from, turns)
    return turns
  }

  #newTrace(): string {
    return this.#options.effects.randomBytes(16).toString('hex')
  }
}
