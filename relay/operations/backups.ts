import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import { streamRoute } from '../api/stream-route.ts'
import { RELAY_CHAIN } from '../audit/record.ts'
import type { Backups, KeptBackup } from '../backup/backups.ts'
import type { Relay } from '../relay.ts'
import { ms, text } from './input.ts'
import { type OperationContext, operation } from './operation.ts'
import { pageFields, pageOf, pageOutput } from './page.ts'

const PATH = '/backups'

/** A backup holds every tenant. */
const ofRelay = () => undefined

const backupRow = v.object({ backup: v.string(), bytes: v.number(), madeAt: ms })

function rowOf({ name, bytes, madeAt }: KeptBackup): v.InferOutput<typeof backupRow> {
  return { backup: name, bytes, madeAt }
}

/** @throws {TunnelError} CONFIG where the relay was started without a place for them */
function requireBackups({ backups }: Relay): Backups {
  if (backups !== undefined) return backups
  throw new TunnelError('CONFIG', 'This relay has no place for backups.', {
    ...{ leg: 'relay', next: 'sallyport relay up --backup-dir DIR --backup-passphrase-file FILE' },
  })
}

/** Files are no part of a transaction: the record is there before the answer. */
async function tell(
  { relay, act }: OperationContext,
  action: 'backup.make' | 'backup.remove' | 'backup.download',
  object: string,
): Promise<void> {
  const { actor, source, traceId } = act
  relay.trail.audit({ tenantId: RELAY_CHAIN, actor, source, traceId, action, object, outcome: 'OK' })
  await relay.trail.flush()
}

export const makeBackup = operation({
  name: 'backup.make',
  summary: 'make a sealed backup of the whole relay now, where it keeps those of each day',
  http: { method: 'POST', path: PATH },
  right: 'backup:write',
  isDangerous: true,
  input: v.strictObject({}),
  output: backupRow,
  place: ofRelay,
  async run(context) {
    const made = await requireBackups(context.relay).make(context.signal)
    await tell(context, 'backup.make', made.name)
    return rowOf(made)
  },
})

export const listBackups = operation({
  name: 'backup.list',
  summary: 'show the backups that there are',
  http: { method: 'GET', path: PATH },
  right: 'relay:read',
  input: v.strictObject(pageFields),
  output: pageOutput(backupRow),
  place: ofRelay,
  async run({ relay }, page) {
    return pageOf((await requireBackups(relay).list()).map(rowOf), ({ backup }) => backup, page)
  },
})

export const pruneBackups = operation({
  name: 'backup.prune',
  summary: 'remove the backups beyond those of 14 days, 12 weeks and 12 months',
  http: { method: 'POST', path: `${PATH}/prune` },
  right: 'backup:write',
  isDangerous: true,
  input: v.strictObject({}),
  output: v.object({ removed: v.array(v.string()) }),
  place: ofRelay,
  async run(context) {
    const removed = await requireBackups(context.relay).prune()
    for (const name of removed) await tell(context, 'backup.remove', name)
    return { removed: [...removed] }
  },
})

/** The bytes as they lie there: sealed by a passphrase that the API never has. */
export const downloadBackup = streamRoute({
  name: 'backup.download',
  summary: 'give a backup as it is, sealed',
  http: { method: 'GET', path: `${PATH}/{backup}` },
  right: 'backup:write',
  isDangerous: true,
  type: 'application/octet-stream',
  input: v.strictObject({ backup: text }),
  place: ofRelay,
  async *run(context, { backup }) {
    const parts = requireBackups(context.relay).read(backup, context.signal)
    // What is not there is refused by the first part.
    const first = await parts.next()
    await tell(context, 'backup.download', backup)
    if (first.done !== true) yield first.value
    yield* parts
  },
})
