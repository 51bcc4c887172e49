import type { X509Certificate } from 'node:crypto'
import { setImmediate } from 'node:timers/promises'
import { CHAIN_START } from '../../shared/audit/chain.ts'
import { isCheckpointGenuine } from './checkpoint.ts'
import { type AuditRecord, recordHash } from './record.ts'
import type { AuditCheckpoint, AuditStore } from './store.ts'

/** Records that are read and hashed before streams of the same process get their turn: some 4 ms. */
const PAGE = 250

/** What is wrong with a chain, at the first record where it shows. */
export interface AuditFault {
  readonly seq: number
  readonly kind: 'missing' | 'edited' | 'rewritten' | 'cut' | 'checkpoint'
  /** For people. */
  readonly text: string
}

export interface AuditVerdict {
  /** Records that were looked at. */
  readonly records: number
  /** The last record that a genuine checkpoint vouches for; 0 where there is none. */
  readonly vouchedTo: number
  /** Undefined where the chain holds. */
  readonly fault: AuditFault | undefined
}

export interface VerifyOptions {
  readonly store: Pick<AuditStore, 'readAudit' | 'listAuditCheckpoints'>
  readonly tenantId: string
  /** Of the relay's CA, whose key signs checkpoints. */
  readonly certificate: X509Certificate
  /** Checkpoints that were kept elsewhere. */
  readonly witnessed?: readonly AuditCheckpoint[]
  readonly signal?: AbortSignal
}

/**
 * Reads a chain from its first record on and says where it stops holding: a number is missing, a record does not have the
 * hash it should, a checkpoint vouches for another record or for one that is not there.
 *
 * What only the store holds proves nothing against who can write all of it and sign: a checkpoint that was kept elsewhere
 * does.
 */
export async function verifyChain(options: VerifyOptions): Promise<AuditVerdict> {
  // Before the records: the relay may be running, and a checkpoint never vouches for a record that is written later.
  const checkpoints = await readCheckpoints(options)
  const isGenuine = (one: AuditCheckpoint) => isCheckpointGenuine(options.certificate, one)
  return verifyRecords(pagesOf(options), checkpoints, isGenuine)
}

/** {@link verifyChain} for records that come from elsewhere, a page after the other. */
export async function verifyRecords(
  pages: AsyncIterable<readonly AuditRecord[]>,
  checkpoints: readonly AuditCheckpoint[],
  isGenuine: (checkpoint: AuditCheckpoint) => boolean,
): Promise<AuditVerdict> {
  const forged = checkpoints.find((one) => !isGenuine(one))
  const genuine = Map.groupBy(checkpoints.filter(isGenuine), ({ seq }) => seq)
  let walk: Walk = { seq: 0, hash: CHAIN_START, vouchedTo: 0 }
  for await (const page of pages) {
    for (const record of page) {
      const fault = faultOf(record, walk, genuine.get(record.seq) ?? [])
      if (fault !== undefined) return { records: walk.seq, vouchedTo: walk.vouchedTo, fault }
      const { seq, hash } = record
      walk = { seq, hash, vouchedTo: genuine.has(seq) ? seq : walk.vouchedTo }
    }
  }
  return { records: walk.seq, vouchedTo: walk.vouchedTo, fault: endFault(walk, [...genuine.keys()], forged) }
}

async function* pagesOf({ store, tenantId, signal }: VerifyOptions): AsyncGenerator<readonly AuditRecord[]> {
  let cursor: number | undefined
  do {
    const page = await store.readAudit(tenantId, { order: 'oldest', limit: PAGE, cursor })
    yield page.records
    cursor = page.next
    await setImmediate()
    signal?.throwIfAborted()
  } while (cursor !== undefined)
}

interface Walk {
  readonly seq: number
  readonly hash: Uint8Array
  readonly vouchedTo: number
}

async function readCheckpoints(options: VerifyOptions): Promise<readonly AuditCheckpoint[]> {
  const { store, tenantId, witnessed = [] } = options
  const all = witnessed.filter((one) => one.tenantId === tenantId)
  let after = 0
  for (;;) {
    const page = await store.listAuditCheckpoints(tenantId, after)
    const last = page.at(-1)
    if (last === undefined) return all
    all.push(...page)
    after = last.seq
  }
}

function faultOf(
  record: AuditRecord,
  walk: Walk,
  vouching: readonly AuditCheckpoint[],
): AuditFault | undefined {
  const seq = walk.seq + 1
  if (record.seq !== seq) {
    const last = record.seq - 1
    return { seq, kind: 'missing', text: `record ${seq === last ? seq : `${seq} to ${last}`} is missing` }
  }
  if (!equal(recordHash(record, walk.hash), record.hash)) {
    return { seq, kind: 'edited', text: `record ${seq} is not what was written, or not in its place` }
  }
  if (vouching.every((one) => equal(one.hash, record.hash))) return undefined
  const from = walk.vouchedTo + 1
  return {
    seq: from,
    kind: 'rewritten',
    text: `the chain was written anew between record ${from} and ${seq}: the checkpoint at ${seq} vouches for another`,
  }
}

function endFault(
  walk: Walk,
  vouched: readonly number[],
  forged: AuditCheckpoint | undefined,
): AuditFault | undefined {
  const beyond = vouched.reduce((most, seq) => Math.max(most, seq), 0)
  if (beyond > walk.seq) {
    const seq = walk.seq + 1
    return { seq, kind: 'cut', text: `the chain ends before record ${seq}; it had ${beyond} at least` }
  }
  if (forged === undefined) return undefined
  return {
    seq: forged.seq,
    kind: 'checkpoint',
    text: `the checkpoint at record ${forged.seq} is not signed by the CA of this relay`,
  }
}

function equal(a: Uint8Array, b: Uint8Array): boolean {
  return Buffer.compare(a, b) === 0
}
