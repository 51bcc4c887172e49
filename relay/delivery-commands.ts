import { readFile } from 'node:fs/promises'
import { TunnelError } from '../shared/errors.ts'
import { askRelay, type CommandContext } from './ask-relay.ts'
import { addDelivery, listDeliveries, removeDelivery, testDelivery } from './operations/delivery.ts'

interface DeliveryOptions extends CommandContext {
  readonly tenant: string
  readonly name: string
}

export interface AddOptions {
  readonly webhook?: string
  readonly syslog?: string
  readonly ca?: string
  readonly fromStart?: boolean
}

/** `sallyport audit delivery add`. @throws {TunnelError} USAGE where it does not say where to, once */
export async function deliveryAdd(options: DeliveryOptions & AddOptions): Promise<void> {
  const { tenant, name, webhook, syslog, output, fromStart = false } = options
  if ((webhook === undefined) === (syslog === undefined)) {
    throw new TunnelError('USAGE', 'Either --webhook URL or --syslog HOST:PORT.')
  }
  const ca = options.ca === undefined ? {} : { ca: await readCertificates(options.ca) }
  const where =
    webhook === undefined ? { kind: 'syslog', target: syslog } : { kind: 'webhook', target: webhook }
  const added = await askRelay(options, addDelivery, { tenant, delivery: name, ...where, ...ca, fromStart })
  output.result(added, `delivery ${name} added`)
  if (added.signingKey !== undefined) {
    output.note(`its signatures are made with this key (base64, shown this once): ${added.signingKey}`)
  }
}

/** `sallyport audit delivery list`. */
export async function deliveryList(options: Omit<DeliveryOptions, 'name'>): Promise<void> {
  const { tenant, output } = options
  let cursor: string | undefined
  do {
    const page = await askRelay(options, listDeliveries, { tenant, cursor })
    for (const row of page.items) {
      const trouble =
        row.error === undefined
          ? ''
          : `  FAILING since ${new Date(row.failingSince ?? 0).toISOString()}: ${row.error}`
      output.result(
        row,
        `${row.delivery}  ${row.kind} ${row.target}  up to record ${row.position}, ${row.waiting} wait${trouble}`,
      )
    }
    cursor = page.next
  } while (cursor !== undefined)
}

/** `sallyport audit delivery remove`. */
export async function deliveryRemove(options: DeliveryOptions): Promise<void> {
  const { tenant, name, output } = options
  output.result(
    await askRelay(options, removeDelivery, { tenant, delivery: name }),
    `delivery ${name} removed`,
  )
}

/** `sallyport audit delivery test`. */
export async function deliveryTest(options: DeliveryOptions): Promise<void> {
  const { tenant, name, output } = options
  const sent = await askRelay(options, testDelivery, { tenant, delivery: name }, { timeoutMs: 20_000 })
  output.result(sent, `a test was delivered to ${name}`)
}

/** @throws {TunnelError} USAGE */
async function readCertificates(path: string): Promise<string> {
  return readFile(path, 'utf8').catch((cause: unknown) => {
    throw new TunnelError('USAGE', `${path} cannot be read.`, { cause })
  })
}
