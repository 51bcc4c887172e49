import { createHmac } from 'node:crypto'
import { request } from 'node:https'
import { TunnelError } from '../../../shared/errors.ts'
import type { Secret } from '../../../shared/secret.ts'
import { recordJson } from '../format.ts'
import type { AuditRecord } from '../record.ts'
import { type DeliveryTarget, pinned } from './target.ts'

export interface WebhookCall {
  readonly target: DeliveryTarget
  readonly addresses: readonly string[]
  readonly ca: string | undefined
  /** Signs the body. */
  readonly key: Secret<Buffer>
  readonly tenantId: string
  readonly records: readonly AuditRecord[]
  /** Milliseconds since 1970. */
  readonly at: number
  /** Ends the call, at a deadline too. */
  readonly signal: AbortSignal
}

/**
 * The value of `Sallyport-Signature`: the time in seconds, and HMAC-SHA256 over `TIME.BODY` in hexadecimal. Who receives it
 * refuses old times, so that a body that was seen once is not taken again.
 */
export function webhookSignature(key: Secret<Buffer>, at: number, body: string): string {
  const time = Math.floor(at / 1_000)
  return `t=${time},v1=${createHmac('sha256', key.reveal()).update(`${time}.${body}`).digest('hex')}`
}

/**
 * Posts records as one JSON object. They are delivered where the answer is 2xx; redirects are not followed.
 * @throws {TunnelError} DELIVERY
 */
export function postRecords(call: WebhookCall): Promise<void> {
  const { target, addresses, ca, key, tenantId, records, at, signal } = call
  const body = JSON.stringify({ tenant: tenantId, records: records.map(recordJson) })
  return new Promise((resolve, reject) => {
    const fail = (detail: string, cause?: unknown) => reject(new TunnelError('DELIVERY', detail, { cause }))
    const sent = request({
      ...{ host: target.host, port: target.port, path: target.path, method: 'POST', agent: false, signal },
      lookup: pinned(addresses),
      ...(ca === undefined ? {} : { ca }),
      minVersion: 'TLSv1.2',
      headers: {
        'content-type': 'application/json',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'sallyport',
        'sallyport-signature': webhookSignature(key, at, body),
      },
    })
    sent.on('error', (err: NodeJS.ErrnoException) =>
      fail(`The receiver was not reached (${err.code ?? 'error'}).`, err),
    )
    sent.on('response', (answer) => {
      // What it says beside its status is of no interest, and may be endless.
      answer.on('error', () => undefined)
      answer.destroy()
      const status = answer.statusCode ?? 0
      if (status >= 200 && status < 300) resolve()
      else fail(`The receiver answered ${status}.`)
    })
    sent.end(body)
  })
}
