import { isIP } from 'node:net'
import { connect } from 'node:tls'
import type { Effects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import type { AuditRecord } from '../record.ts'
import { type DeliveryTarget, pinned } from './target.ts'

/** Facility 13, "log audit"; severity 6 for what went well, 4 for what did not (RFC 5424 section 6.2.1). */
const PRIORITY = { OK: 13 * 8 + 6, refused: 13 * 8 + 4 } as const

/** The private enterprise number that RFC 5612 sets aside for those who have none. */
const ENTERPRISE = 32_473

/** Longest name of a host in a message (RFC 5424 section 6). */
const HOST_MAX = 255

/** A record as one message of syslog (RFC 5424), its fields as structured data. @param host the relay's name */
export function syslogMessage(record: AuditRecord, host: string): string {
  const { tenantId, seq, time, environment, actor, source, action, object, outcome, traceId, detail } = record
  const fields = {
    ...{ tenant: tenantId, seq: `${seq}`, environment, actorKind: actor.kind, actorId: actor.id, source },
    ...{ action, object, outcome, trace: traceId, detail, hash: Buffer.from(record.hash).toString('hex') },
  }
  const data = Object.entries(fields)
    .filter(([, value]) => value !== '')
    .map(([name, value]) => `${name}="${value.replace(/["\\\]]/g, '\\$&')}"`)
  const priority = outcome === 'OK' ? PRIORITY.OK : PRIORITY.refused
  const head = `<${priority}>1 ${new Date(time).toISOString()} ${host.slice(0, HOST_MAX)} sallyport - ${action.slice(0, 32)}`
  // A byte order mark says that what follows is UTF-8 (section 6.4).
  return `${head} [sallyport@${ENTERPRISE} ${data.join(' ')}] \ufeff${action} ${object} ${outcome}`
}

/** A message with its length in front (RFC 5425 section 4.3). */
export function syslogFrame(message: string): string {
  return `${Buffer.byteLength(message)} ${message}`
}

export interface SyslogCall {
  readonly target: DeliveryTarget
  readonly addresses: readonly string[]
  readonly ca: string | undefined
  /** Name of the relay, for the messages. */
  readonly host: string
  readonly records: readonly AuditRecord[]
  readonly effects: Pick<Effects, 'now' | 'after'>
  /** Ends the call, at a deadline too. */
  readonly signal: AbortSignal
}

/** The least time that passes between the last record and the end of the connection, in ms. */
const SETTLE_MS = 50

/**
 * Sends records over TLS and ends the connection. Syslog has no answers, so the end is one: the receiver closes its side when it has
 * read everything up to ours, and a system that closes a connection with something unread in it resets it. An end that was on its
 * way before the records came there is told apart by time: it is here within a round trip, before ours was sent.
 * @throws {TunnelError} DELIVERY
 */
export function sendSyslog(call: SyslogCall): Promise<void> {
  const { target, addresses, ca, host, records, effects, signal } = call
  const frames = records.map((record) => syslogFrame(syslogMessage(record, host))).join('')
  return new Promise((resolve, reject) => {
    const socket = connect({
      ...{ host: target.host, port: target.port, lookup: pinned(addresses), minVersion: 'TLSv1.2' },
      ...(isIP(target.host) === 0 ? { servername: target.host } : {}),
      ...(ca === undefined ? {} : { ca }),
    })
    const stop = () => {
      reject(
        new TunnelError('DELIVERY', 'The receiver did not take the records in time.', {
          cause: signal.reason,
        }),
      )
      socket.destroy()
    }
    if (signal.aborted) stop()
    signal.addEventListener('abort', stop, { once: true })
    const beganAt = effects.now()
    let isEnded = false
    let cancelEnd: () => void = () => undefined
    socket.on('secureConnect', () => {
      // The handshake took two round trips at least.
      const settleMs = Math.max(effects.now() - beganAt, SETTLE_MS)
      socket.write(frames, () => {
        cancelEnd = effects.after(settleMs, () => {
          isEnded = true
          socket.end()
        })
      })
    })
    socket.on('error', (err: NodeJS.ErrnoException) =>
      reject(
        new TunnelError('DELIVERY', `The receiver was not reached (${err.code ?? 'error'}).`, { cause: err }),
      ),
    )
    socket.on('end', () => {
      if (isEnded) resolve()
    })
    socket.on('close', () => {
      cancelEnd()
      signal.removeEventListener('abort', stop)
      reject(new TunnelError('DELIVERY', 'The receiver closed before it had read the records.'))
    })
    // What it says is of no interest, and without a reader its end would not be seen.
    socket.resume()
  })
}
