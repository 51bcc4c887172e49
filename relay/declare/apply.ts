import net from 'node:net'
import * as v from 'valibot'
import { parseListenAddress } from '../../shared/cli/listen-address.ts'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { listen } from '../../shared/tunnel/tcp-listener.ts'
import type { OperationContext } from '../operations/operation.ts'
import { admit } from '../operations/run.ts'
import { makeSamlKey } from '../sso/saml-key.ts'
import { type Asked, askedOf } from './asked.ts'
import type { Change } from './diff.ts'
import type { Document } from './document.ts'
import { type Issued, make, type Work } from './make.ts'
import { type Draft, draftOf } from './plan.ts'

/** What was done. */
export interface Applied extends Draft {
  /** Secrets that are shown this once. */
  readonly issued: readonly Issued[]
  /** What could not follow the change, which holds all the same. */
  readonly warnings: readonly string[]
}

/**
 * Makes a tenant what is declared, in one transaction with all records. Whatever somebody by hand would have to be allowed is asked
 * for before.
 *
 * @param digest of the plan that is meant
 * @throws {TunnelError} CONFLICT where it would be another plan now; FORBIDDEN, LOGIN_AGAIN naming what is not allowed; LISTEN; as
 * {@link draftOf}. Nothing was changed then
 */
export async function applyDocument(
  context: OperationContext,
  tenantId: string,
  document: Document,
  digest: string,
): Promise<Applied> {
  const { relay, act } = context
  const { store } = relay.authority
  const draft = await draftOf(context, store, tenantId, document)
  requirePlan(digest, draft)
  if (draft.changes.length === 0) return { ...draft, issued: [], warnings: [] }
  await checkRights(context, draft)
  await checkListening(draft.changes)
  const secrets = await secretsOf(context, draft)
  const done = {
    issued: [] as Issued[],
    published: { gone: [], added: [] } as Work['published'],
    deliveries: { gone: [], added: [] } as Work['deliveries'],
  }
  const hasSecrets = secrets.size > 0 || draft.changes.some(({ section }) => section === 'deliveries')
  await store.together(tenantId, hasSecrets, async (inside) => {
    // Everybody else waits from here on, so what is read now is what is changed.
    const now = await draftOf(context, inside, tenantId, document)
    requirePlan(digest, now)
    for (const change of now.changes)
      await make(change, { relay, store: inside, tenantId, act, secrets, ...done })
  })
  tell(context, draft)
  return { ...draft, issued: done.issued, warnings: await follow(context, tenantId, done) }
}

/** @throws {TunnelError} CONFLICT */
function requirePlan(meant: string, { digest: found }: Draft): void {
  if (found === meant) return
  throw new TunnelError('CONFLICT', 'What the plan was made of has changed meanwhile; nothing was changed.', {
    next: 'look at the plan of now: sallyport plan FILE',
  })
}

/** @throws {TunnelError} FORBIDDEN, LOGIN_AGAIN naming the change and what it needs */
async function checkRights(context: OperationContext, { changes, tenantId }: Draft): Promise<void> {
  for (const change of changes) {
    for (const asked of askedOf(change, tenantId)) await checkOne(context, change, asked)
  }
}

async function checkOne(
  context: OperationContext,
  change: Change,
  { operation, place, check }: Asked,
): Promise<void> {
  const { relay, caller, signal, act } = context
  const asking = { relay, caller, signal, source: act.source, traceId: act.traceId }
  const { name, right, isDangerous = false } = operation
  try {
    await admit({ name, right, isDangerous, input: v.strictObject({}), place: () => place }, asking, {})
    await check?.(context)
  } catch (error) {
    if (!isTunnelError(error) || error.code === 'STORE') throw error
    const what = `${change.action} ${change.section} ${change.name}: ${name} needs ${right}`
    throw new TunnelError(error.code, `${what}.${error.detail === '' ? '' : ` ${error.detail}`}`, {
      cause: error,
    })
  }
}

/** An address that cannot be listened on is told before anything changes. @throws {TunnelError} LISTEN */
async function checkListening(changes: readonly Change[]): Promise<void> {
  const tcp = changes.flatMap((change) =>
    change.section === 'publications' && (change.to ?? change.from)?.kind === 'tcp' ? [change] : [],
  )
  // What is given up may be what stands in the way.
  if (tcp.some(({ action }) => action === 'remove')) return
  for (const { action, to } of tcp) {
    if (action !== 'create' || to === undefined) continue
    const { host, port } = parseListenAddress(to.address)
    const server = net.createServer()
    await listen(server, host, port)
    await new Promise((resolve) => server.close(resolve))
  }
}

/** What is sealed, made before the transaction: nobody waits for a new key. */
async function secretsOf(
  { relay }: OperationContext,
  draft: Draft,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const secrets = new Map<string, Uint8Array>(
    [...draft.secrets].map(([name, text]) => [name, Buffer.from(text)]),
  )
  for (const { section, action, name, to } of draft.changes) {
    if (section !== 'providers' || action === 'change' || to?.settings.kind !== 'saml') continue
    secrets.set(name, (await makeSamlKey(relay.authority.effects)).reveal())
  }
  return secrets
}

function tell({ relay, act }: OperationContext, { tenantId, digest, changes }: Draft): void {
  const { actor, source, traceId } = act
  const counts = Map.groupBy(changes, ({ action }) => action)
  const detail = [...counts].map(([action, some]) => `${action} ${some.length}`).join(', ')
  relay.trail.audit({
    ...{ tenantId, environment: '', actor, source, traceId },
    ...{ action: 'declare.apply', object: digest, outcome: 'OK', detail },
  })
}

/** What lives follows what is kept. The change holds already, so what fails here is told and ends nothing. */
async function follow(
  { relay }: OperationContext,
  tenantId: string,
  { published, deliveries }: Pick<Work, 'published' | 'deliveries'>,
): Promise<string[]> {
  const warnings: string[] = []
  const attempt = async (work: () => Promise<unknown>) => {
    await work().catch((error: unknown) => {
      if (!isTunnelError(error)) throw error
      warnings.push(`${error.code}: ${error.message}`)
    })
  }
  await attempt(() => relay.enforce(tenantId))
  await attempt(() => relay.publications.follow(published.gone, published.added))
  for (const name of deliveries.gone) await attempt(() => relay.deliveries.end(tenantId, name))
  for (const name of deliveries.added) relay.deliveries.begin(tenantId, name)
  const added = new Set(published.added.map(({ address }) => address))
  await attempt(async () => {
    for (const { address, error } of await relay.publications.list(tenantId)) {
      if (error !== undefined && added.has(address)) warnings.push(`${address} is not open: ${error}`)
    }
  })
  return warnings
}
