import type { Effects } from '../../shared/effects.ts'
import type { Logger } from '../../shared/log.ts'
import type { Audit } from '../audit/record.ts'
import type { Copy } from '../authority/copies.ts'
import type { FreezeStore } from '../store/access-store.ts'

export interface CopyAlarmOptions {
  readonly store: Pick<FreezeStore, 'copyResponse' | 'listFreezes' | 'addFreeze'>
  readonly audit: Audit
  /** Ends what is no longer allowed in a tenant. */
  readonly enforce: (tenantId: string) => Promise<unknown>
  readonly effects: Pick<Effects, 'date' | 'randomBytes'>
  readonly log: Logger
}

/** Puts on record that there are two of an agent, which webhooks and syslog are told by, and stops its site where its tenant wants that. */
export function copyAlarm(options: CopyAlarmOptions): (copy: Copy) => void {
  const { audit, effects, log } = options
  return (copy) => {
    const { agent, sources } = copy
    const { tenantId, environment, site, id } = agent
    const traceId = effects.randomBytes(16).toString('hex')
    const detail = `${id}: ${copyText(copy)}`
    log.warn({ ...agent, sign: copy.sign, sources, traceId }, 'two of one agent')
    const actor = { kind: 'agent', id } as const
    const event = {
      tenantId,
      environment,
      actor,
      object: site,
      outcome: 'IDENTITY',
      detail,
      traceId,
    } as const
    audit({ ...event, action: 'agent.copied', source: sources.at(-1) ?? 'unknown' })
    respond(options, copy, traceId).catch((err: unknown) => {
      log.error({ ...agent, err, traceId }, 'the site of a copied agent could not be frozen')
    })
  }
}

async function respond(
  { store, enforce, effects, log }: CopyAlarmOptions,
  { agent }: Copy,
  traceId: string,
): Promise<void> {
  const { tenantId, environment, site: name } = agent
  if ((await store.copyResponse(tenantId)) !== 'freeze') return
  const isFrozen = (await store.listFreezes(tenantId)).some(
    (one) => one.kind === 'site' && one.environment === environment && one.name === name,
  )
  // The reason for which somebody stopped it stays.
  if (isFrozen) return
  const at = effects.date()
  const act = { actor: { kind: 'relay', id: '' }, source: 'local', traceId, at } as const
  const reason = `there seem to be two of its agent ${agent.id}`
  await store.addFreeze(tenantId, { kind: 'site', environment, name, reason, createdAt: at }, act)
  await enforce(tenantId)
  log.warn({ ...agent, traceId }, 'site frozen')
}

/** How it showed, for people. */
export function copyText({ sign, sources }: Copy): string {
  const from = `from ${sources.join(', ')}`
  return sign === 'certificate'
    ? `a certificate came that was replaced long ago, ${from}`
    : `a process came back that had made room for another, ${from}`
}
