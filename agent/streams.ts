import { isTunnelError, TunnelError } from '../shared/errors.ts'
import { decodeOpenMeta, encodeOpenOkMeta, type OpenMeta } from '../shared/handshake/open.ts'
import type { Logger } from '../shared/log.ts'
import type { Session } from '../shared/mux/session.ts'
import { isReattach, type OpenFrame } from '../shared/mux/session-handler.ts'
import type { Stream } from '../shared/mux/stream.ts'
import { decide, type LiveTarget, stillAllows } from '../shared/policy/decide.ts'
import type { Rule, Rules } from '../shared/policy/rule.ts'
import { TunnelDuplex } from '../shared/tunnel/duplex.ts'
import type { ResumeSummary } from '../shared/tunnel/resume-tally.ts'
import { Splice } from '../shared/tunnel/splice.ts'
import { closedEvent, openedEvent } from './audit/events.ts'
import type { AgentAudit } from './audit/trail.ts'
import { Denials } from './denials.ts'
import { Dialler, type DiallerOptions } from './dial/dialler.ts'
import { createHttpTarget } from './http-target.ts'
import { HttpTargets } from './http-targets.ts'
import { KeptStreams, type StreamEnd } from './kept-streams.ts'

/** Most targets dialled at once. */
const MAX_DIALS = 256

export interface AgentStreamsOptions extends DiallerOptions {
  readonly agentId: string
  readonly log: Logger
  readonly rules: () => Rules
  readonly audit: AgentAudit
  /** Knows since when a target fails, too. */
  readonly health: DiallerOptions['health'] & { failingSince(resource: string): number | undefined }
}

interface Live {
  readonly target: LiveTarget
  readonly rule: Rule
}

/** A target that is being dialled for a stream. */
interface Dial {
  readonly rule: Rule
  readonly gone: AbortController
  /** How long it took in ms; undefined until it was reached. */
  ms: number | undefined
}

/**
 * What the relay opens, held against the site's own rules: nothing is dialled that they do not name, whatever the relay
 * says. The same rules are held against what runs when they change.
 */
export class AgentStreams {
  readonly #options: AgentStreamsOptions
  readonly #live = new Map<Stream, Live>()
  readonly #kept: KeptStreams
  readonly #dialler: Dialler
  readonly #denials: Denials
  readonly #httpTargets = new HttpTargets((rule) => {
    const { log, effects } = this.#options
    return createHttpTarget({ rule, dial: (signal) => this.#dialler.dial(rule, signal), log, effects })
  })
  #isPaused = false
  #dials = 0

  constructor(options: AgentStreamsOptions) {
    this.#options = options
    this.#kept = new KeptStreams(options.effects, options.log)
    this.#dialler = new Dialler(options)
    this.#denials = new Denials(options)
  }

  get count(): number {
    return this.#live.size
  }

  /** OPENs that the rules refused since the start. */
  get denied(): number {
    return this.#denials.bySite
  }

  /** True: every stream ends now, those that wait for a path too, and no other is admitted until it is false again. */
  pause(isPaused: boolean): void {
    this.#isPaused = isPaused
    if (!isPaused) return
    const reason = new TunnelError('PAUSED')
    this.close(reason)
    for (const stream of [...this.#live.keys()]) stream.reset(reason.code)
  }

  /**
   * Admits a stream or refuses it.
   * @throws {TunnelError} PROTOCOL, PAUSED, DENIED_BY_SITE, OVERLOADED; nothing was dialled
   */
  opening(frame: OpenFrame, session: Session): void {
    const meta = decodeOpenMeta(frame.meta)
    try {
      this.#admit(frame, session, meta)
    } catch (err) {
      // A search for a path comes again and again; what it looks for was let in, and is on record.
      if (isTunnelError(err) && (!isReattach(frame) || err.code === 'DENIED_BY_SITE')) {
        this.#denials.note(meta, err)
      }
      throw err
    }
  }

  #admit(frame: OpenFrame, session: Session, meta: OpenMeta): void {
    if (this.#isPaused) throw new TunnelError('PAUSED')
    if (!isReattach(frame)) this.#kept.checkNew(meta)
    else if (this.#adopt(frame, session, meta)) return
    const rule = this.#ruleFor(meta)
    if (rule.protocol === 'http') this.#openHttp(frame, session, { rule, meta })
    else this.#openTcp(frame, session, { rule, meta })
    this.#options.audit(openedEvent(meta, rule))
  }

  /** What became of the openers' searches for a path. */
  get resumes(): ResumeSummary {
    return this.#kept.resumes
  }

  /** Streams that wait for a path. */
  get waiting(): number {
    return this.#kept.waitingCount
  }

  /** No path comes back: ends every stream without one. */
  close(error: TunnelError): void {
    this.#kept.close(error)
  }

  /** The agent ends. */
  stop(): void {
    this.close(new TunnelError('DRAINING'))
    this.#denials.flush()
  }

  #adopt(frame: OpenFrame, session: Session, meta: OpenMeta): boolean {
    const rules = this.#options.rules()
    const stream = this.#kept.claim(meta, (claimed) => {
      const live = this.#live.get(claimed)
      return live !== undefined && stillAllows(rules, live.target, this.#dialler.context)
    })
    const rule = stream === undefined ? undefined : this.#live.get(stream)?.rule
    if (stream === undefined || rule === undefined) return false
    session.adopt(frame, stream, this.#answer(0, rule))
    return true
  }

  #answer(dialMs: number, rule: Rule): Uint8Array {
    return encodeOpenOkMeta({ dialMs, agent: this.#options.agentId, resumable: rule.resume })
  }

  /** The rules have changed: ends what they no longer allow. */
  enforce(rules: Rules): void {
    for (const [stream, live] of this.#live) {
      if (!stillAllows(rules, live.target, this.#dialler.context))
        stream.reset('DENIED_BY_SITE', 'the rules have changed')
    }
    this.#httpTargets.enforce(rules)
  }

  #ruleFor(meta: OpenMeta): Rule {
    const rules = this.#options.rules()
    // A connector need not know what stands behind the name: on an HTTP resource the HTTP rules hold for any stream.
    const protocol = rules.get(meta.resource)?.protocol === 'http' ? 'http' : meta.protocol
    const decision = decide(rules, { resource: meta.resource, protocol })
    if (!decision.allowed) throw new TunnelError('DENIED_BY_SITE', '', { cause: decision.reason })
    const { rule } = decision
    if (rule.maxStreams !== undefined && this.#countOf(rule) >= rule.maxStreams) {
      throw new TunnelError('OVERLOADED', `${rule.maxStreams} streams to ${rule.resource}`)
    }
    return rule
  }

  #countOf(rule: Rule): number {
    let count = 0
    for (const live of this.#live.values()) if (live.rule.resource === rule.resource) count++
    return count
  }

  #openTcp(frame: OpenFrame, session: Session, { rule, meta }: { rule: Rule; meta: OpenMeta }): void {
    if (this.#dials >= MAX_DIALS)
      throw new TunnelError('OVERLOADED', `${MAX_DIALS} targets are being dialled`)
    const dial: Dial = { rule, gone: new AbortController(), ms: undefined }
    const splice = new Splice({
      brokenCode: 'TARGET_RESET',
      onClosed: (error) => {
        const isReached = dial.ms !== undefined
        // Once the target was reached there is nothing left to give up.
        if (!isReached) dial.gone.abort(GIVEN_UP)
        this.#ended(stream, meta, { error, isReached }, dial.ms ?? -1)
      },
    })
    const stream = session.admit(frame, splice)
    splice.stream = stream
    this.#kept.keep(stream, meta, rule.resume)
    this.#live.set(stream, { target: targetOf(rule), rule })
    void this.#dial(stream, splice, dial)
  }

  /** Joins the stream and its target. Never rejects. */
  async #dial(stream: Stream, splice: Splice, dial: Dial): Promise<void> {
    const { effects } = this.#options
    const { rule, gone } = dial
    const began = effects.now()
    this.#dials++
    try {
      const socket = await this.#dialler.dial(rule, gone.signal, () => ({ onread: splice.reader.onread }))
      if (stream.isClosed) {
        socket.destroy()
        return
      }
      dial.ms = Math.round(effects.now() - began)
      const address = socket.remoteAddress
      if (address !== undefined) this.#live.set(stream, { target: { ...targetOf(rule), address }, rule })
      stream.accept(this.#answer(dial.ms, rule), effects.now())
      splice.attach(socket)
    } catch (error) {
      this.#dialFailed(stream, rule, error)
    } finally {
      this.#dials--
    }
  }

  #ended(stream: Stream, meta: OpenMeta, end: StreamEnd, dialMs?: number): void {
    const code = end.error?.code ?? 'OK'
    this.#live.delete(stream)
    this.#kept.ended(stream, meta, end)
    this.#options.audit(closedEvent(meta, code, stream))
    const { bytesSent: sent, bytesReceived: received } = stream
    const { resource, protocol, opener, source, trace } = meta
    this.#options.log.info(
      { resource, protocol, opener, source, trace, code, dialMs, sent, received },
      'stream closed',
    )
  }

  #dialFailed(stream: Stream, rule: Rule, error: unknown): void {
    if (stream.isClosed) return
    const { log } = this.#options
    if (!isTunnelError(error)) {
      log.error({ err: error }, 'dial failed')
      stream.reset('INTERNAL')
      return
    }
    log.info({ resource: rule.resource, code: error.code, detail: error.detail }, 'target not reached')
    const since = this.#options.health.failingSince(rule.resource)
    // Addresses inside stay inside, unless the rule says that connectors may see them.
    const detail = rule.detail ? [error.detail] : []
    if (since !== undefined) detail.push(`failing since ${new Date(since).toISOString()}`)
    stream.reset(error.code, detail.join(', '))
  }

  #openHttp(frame: OpenFrame, session: Session, { rule, meta }: { rule: Rule; meta: OpenMeta }): void {
    const duplex = new TunnelDuplex()
    const stream: Stream = session.admit(frame, {
      ...duplex.handler,
      // The Duplex may be destroyed long before its last bytes were consumed: until then the stream counts and is kept.
      closed: (error) => {
        duplex.handler.closed(error)
        this.#ended(stream, meta, { error, isReached: true })
      },
    })
    duplex.stream = stream
    this.#kept.keep(stream, meta, rule.resume)
    this.#live.set(stream, { target: targetOf(rule), rule })
    // The target is dialled for each request; the stream itself is open as soon as the rule allows it.
    stream.accept(this.#answer(0, rule), this.#options.effects.now())
    this.#httpTargets.of(rule).accept(duplex, { fromIngress: meta.opener === RELAY_OPENER })
  }
}

function targetOf({ resource, protocol, host, port }: Rule): LiveTarget {
  return { resource, protocol, host: host.text, port }
}

/** Why a dial ends when its stream does. One for all: an error made for each stream costs more than the rest of its end. */
const GIVEN_UP = new TunnelError('CANCELLED')

/** How the relay names itself as the opener of a stream; connectors are `connector:NAME`. */
const RELAY_OPENER = 'relay'
