import { once } from 'node:events'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttps } from 'node:https'
import type { AddressInfo, Server } from 'node:net'
import type { TestContext } from 'node:test'
import { createServer as createTls, type TLSSocket } from 'node:tls'
import { generate } from 'selfsigned'
import { Deliveries } from '../../../../relay/audit/delivery/deliveries.ts'
import { type Delivery, signingKeyName } from '../../../../relay/audit/delivery/delivery.ts'
import type { Store } from '../../../../relay/store/store.ts'
import { type Effects, realEffects } from '../../../../shared/effects.ts'
import { parseCidr } from '../../../../shared/policy/cidr.ts'
import { actAt } from '../../../support/acts.ts'
import { recordLog } from '../../../support/recorded-log.ts'
import { openTestStore } from '../../store/store-fixture.ts'
import { streamClosed } from '../audit-fixture.ts'

const { private: key, cert } = await generate([{ name: 'commonName', value: 'receiver' }], {
  keyType: 'ec',
  extensions: [
    { name: 'basicConstraints', cA: true },
    { name: 'subjectAltName', altNames: [{ type: 7, ip: '127.0.0.1' }] },
  ],
})

/** Key of the receivers' certificate. */
export const RECEIVER_KEY = key

/** What the receivers' certificates come from. */
export const RECEIVER_CA = cert

/** Loopback, which deliveries reach in tests only. */
export const LOOPBACK = [parseCidr('127.0.0.0/8')].flatMap((range) => (range.ok ? [range.value] : []))

export const SIGNING_KEY = Buffer.alloc(32, 7)

/** Time that passes a hundred times as fast where something waits, but not faster than this process can answer itself. */
const FAST: Effects = {
  ...realEffects,
  after: (ms, callback) => realEffects.after(Math.max(ms / 100, 50), callback),
  sleep: (ms, signal) => realEffects.sleep(ms / 100, signal),
}

async function listening(t: TestContext, server: Server): Promise<number> {
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  t.after(() => server.close())
  return (server.address() as AddressInfo).port
}

/** A receiver of webhooks that does with each request what `serve` says. @returns its URL */
export async function webhookReceiver(
  t: TestContext,
  serve: (request: IncomingMessage, body: string, response: ServerResponse) => void,
): Promise<string> {
  const server = createHttps({ key, cert }, (request, response) => {
    let body = ''
    request.on('data', (chunk: Buffer) => {
      body += chunk.toString()
    })
    request.on('end', () => serve(request, body, response))
  })
  t.after(() => server.closeAllConnections())
  return `https://127.0.0.1:${await listening(t, server)}/hook`
}

/** A receiver of syslog over TLS. @returns its HOST:PORT */
export async function syslogReceiver(t: TestContext, serve: (socket: TLSSocket) => void): Promise<string> {
  const sockets = new Set<TLSSocket>()
  const server = createTls({ key, cert }, (socket) => {
    sockets.add(socket)
    socket.on('error', () => undefined)
    serve(socket)
  })
  t.after(() => sockets.forEach((socket) => void socket.destroy()))
  return `127.0.0.1:${await listening(t, server)}`
}

export interface TestDeliveries {
  readonly store: Store
  readonly deliveries: Deliveries
  /** Writes records with these objects. */
  write(...objects: string[]): Promise<void>
  /** Adds a delivery from the first record on, without beginning it. */
  add(delivery: Pick<Delivery, 'kind' | 'target'>): Promise<void>
  /** As after a restart of the relay. */
  another(): Deliveries
}

export async function testDeliveries(t: TestContext, inside = LOOPBACK): Promise<TestDeliveries> {
  const made: Deliveries[] = []
  // Before the store is closed: hooks run in the order in which they were made.
  t.after(() => Promise.all(made.map((one) => one.stop())))
  const { store } = await openTestStore(t)
  const another = () => {
    const one = new Deliveries({ store, effects: FAST, log: recordLog().log, host: 'relay', inside })
    made.push(one)
    return one
  }
  return {
    store,
    another,
    deliveries: another(),
    write: (...objects) =>
      store.relay.appendAudit(objects.map((object, i) => ({ time: i, event: streamClosed(object) }))),
    add: async (delivery) => {
      const rest = { name: 'siem', ca: RECEIVER_CA, position: 0, createdAt: 0 }
      await store.putSecret('default', signingKeyName('siem'), SIGNING_KEY, actAt())
      await store.addDelivery('default', { ...rest, ...delivery }, actAt())
    },
  }
}
