import { X509Certificate } from 'node:crypto'
import * as v from 'valibot'
import { CHAIN_START } from '../../shared/audit/chain.ts'
import { TunnelError } from '../../shared/errors.ts'
import { parseName } from '../../shared/identity/names.ts'
import { DELIVERY_LIMITS } from '../audit/delivery/deliveries.ts'
import { type Delivery, signingKeyName } from '../audit/delivery/delivery.ts'
import { parseTarget } from '../audit/delivery/target.ts'
import type { Act } from '../audit/record.ts'
import type { Relay } from '../relay.ts'
import { auditPlace, requireChain } from './audit.ts'
import { ms, tenantField, text } from './input.ts'
import { operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const DELIVERIES_PATH = '/tenants/{tenant}/deliveries'

/** Bytes of the key that signs what a webhook gets. */
export const KEY_BYTES = 32

const named = v.strictObject({ ...tenantField, delivery: text })

export const addDelivery = operation({
  name: 'delivery.add',
  summary: 'send audit records somewhere: to a webhook, or to a receiver of syslog over TLS',
  http: { method: 'POST', path: DELIVERIES_PATH },
  right: 'audit:write',
  isDangerous: true,
  input: v.strictObject({
    ...tenantField,
    delivery: text,
    kind: v.picklist(['webhook', 'syslog']),
    target: v.pipe(v.string(), v.maxLength(2_048)),
    ca: v.optional(v.pipe(v.string(), v.maxLength(65_536))),
    fromStart: v.optional(v.boolean(), false),
  }),
  /** The signing key is shown this once. */
  output: v.object({ delivery: v.string(), signingKey: v.optional(v.string()) }),
  place: auditPlace,
  async run({ relay, act }, { tenant, delivery: name, kind, target, ca, fromStart }) {
    const { store } = relay.authority
    await requireChain(relay, tenant)
    parseTarget({ kind, target })
    checkCertificates(ca)
    if ((await store.listDeliveries(tenant)).length >= DELIVERY_LIMITS.perTenant) {
      throw new TunnelError('CONFLICT', `A tenant has ${DELIVERY_LIMITS.perTenant} deliveries at most.`)
    }
    const position = fromStart ? 0 : (await store.auditHead(tenant)).seq
    const delivery = { name: parseName(name, 'delivery'), kind, target, ca, position, createdAt: act.at }
    await store.addDelivery(tenant, delivery, act)
    const signingKey = kind === 'webhook' ? await makeKey(relay, tenant, name, act) : undefined
    relay.deliveries.begin(tenant, name)
    return { delivery: name, ...(signingKey === undefined ? {} : { signingKey }) }
  },
})

/** A delivery without its key would never deliver anything: both or neither. */
async function makeKey(relay: Relay, tenant: string, name: string, act: Act): Promise<string> {
  const { store, effects } = relay.authority
  const key = effects.randomBytes(KEY_BYTES)
  try {
    await store.putSecret(tenant, signingKeyName(name), key, act)
  } catch (err) {
    await store.removeDelivery(tenant, name, act)
    throw err
  }
  return key.toString('base64')
}

export const listDeliveries = operation({
  name: 'delivery.list',
  summary: 'show where audit records are sent, and how that goes',
  http: { method: 'GET', path: DELIVERIES_PATH },
  right: 'audit:read',
  input: v.strictObject({ ...tenantField, ...pageFields }),
  output: pageOutput(
    v.object({
      delivery: v.string(),
      kind: v.string(),
      target: v.string(),
      /** Of the last record that was delivered. */
      position: v.number(),
      waiting: v.number(),
      createdAt: ms,
      deliveredAt: v.optional(ms),
      failingSince: v.optional(ms),
      error: v.optional(v.string()),
    }),
  ),
  place: auditPlace,
  async run({ relay }, { tenant, ...page }) {
    await requireChain(relay, tenant)
    const { store } = relay.authority
    const { seq } = await store.auditHead(tenant)
    const rows = (await store.listDeliveries(tenant)).map(({ name, kind, target, position, createdAt }) => ({
      ...{ delivery: name, kind, target, position, createdAt },
      waiting: Math.max(seq - position, 0),
      ...relay.deliveries.health(tenant, name),
    }))
    return pageOf(rows, ({ delivery }) => delivery, page)
  },
})

export const removeDelivery = operation({
  name: 'delivery.remove',
  summary: 'send audit records somewhere no more',
  http: { method: 'DELETE', path: `${DELIVERIES_PATH}/{delivery}` },
  right: 'audit:write',
  isDangerous: true,
  input: named,
  output: v.object({ delivery: v.string() }),
  place: auditPlace,
  async run({ relay, act }, { tenant, delivery }) {
    const { store } = relay.authority
    const { kind } = await requireDelivery(relay, tenant, delivery)
    await store.removeDelivery(tenant, delivery, act)
    if (kind === 'webhook') await store.removeSecret(tenant, signingKeyName(delivery), act)
    await relay.deliveries.end(tenant, delivery)
    return { delivery }
  },
})

export const testDelivery = operation({
  name: 'delivery.test',
  summary: 'send one record that says that it is a test',
  http: { method: 'POST', path: `${DELIVERIES_PATH}/{delivery}/test` },
  right: 'audit:write',
  input: named,
  output: v.object({ delivery: v.string() }),
  place: auditPlace,
  async run({ relay, act, signal }, { tenant, delivery: name }) {
    const delivery = await requireDelivery(relay, tenant, name)
    const { actor, source, traceId, at } = act
    const record = {
      ...{ tenantId: tenant, seq: 0, time: at, environment: '', actor, source, traceId },
      ...{
        action: 'delivery.test',
        object: name,
        outcome: 'OK',
        detail: 'This is a test.',
        hash: CHAIN_START,
      },
    }
    await relay.deliveries.send(tenant, delivery, [record], signal)
    return { delivery: name }
  },
})

/** @throws {TunnelError} NOT_FOUND */
async function requireDelivery(relay: Relay, tenant: string, name: string): Promise<Delivery> {
  const found = await relay.authority.store.findDelivery(tenant, name)
  if (found !== undefined) return found
  throw new TunnelError('NOT_FOUND', `There is no delivery ${name}.`, {
    next: 'sallyport audit delivery list',
  })
}

/** @throws {TunnelError} INPUT */
export function checkCertificates(ca: string | undefined): void {
  if (ca === undefined) return
  try {
    new X509Certificate(ca)
  } catch (cause) {
    throw new TunnelError('INPUT', 'ca breaks the rule: certificates in PEM.', {
      ...{ cause, field: 'ca', rule: 'certificates in PEM' },
    })
  }
}
