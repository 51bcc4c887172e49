import { createReadStream } from 'node:fs'
import type { Readable } from 'node:stream'
import type { Output } from '../../shared/cli/output.ts'
import { readPlainFile } from '../../shared/config/plain-file.ts'
import { TunnelError } from '../../shared/errors.ts'
import { fromJson } from '../../shared/json.ts'
import { relayCa } from '../authority/relay-ca.ts'
import { checkpointOf, checkpointSchema, isCheckpointGenuine } from './checkpoint.ts'
import { exportedRecords } from './export-file.ts'
import type { CheckpointJson } from './format.ts'
import type { AuditRecord } from './record.ts'
import { type ChainVerdict, openSource } from './source.ts'
import { verifyRecords } from './verify.ts'

export interface VerifyFlags {
  readonly data: string
  readonly relay?: string
  readonly tenant?: string
  readonly checkpoint?: string
  readonly export?: string
  readonly ca?: string
}

interface Context {
  readonly signal: AbortSignal
  readonly output: Output
  readonly stdin: Readable
}

/** Largest file with a checkpoint, in bytes. */
const CHECKPOINT_MAX_BYTES = 65_536

/**
 * `sallyport audit verify`: the chains of a data directory, those of another relay by its own word, or one that was exported.
 * @throws {TunnelError} AUDIT where a chain does not hold
 */
export async function verify(options: VerifyFlags & Context): Promise<void> {
  const checkpoint = options.checkpoint === undefined ? undefined : await readCheckpoint(options.checkpoint)
  const verdicts =
    options.export === undefined
      ? ofSource(options, checkpoint)
      : ofExport({ ...options, export: options.export }, checkpoint)
  const faults: string[] = []
  for await (const verdict of verdicts) {
    const { tenant, records, vouchedTo, holds, fault } = verdict
    const text = fault === undefined ? 'holds' : `DOES NOT HOLD: ${fault.text}`
    options.output.result(
      { tenant, records, vouchedTo, holds, ...(fault && { fault }) },
      `${tenant}  ${records} records, the first ${vouchedTo} signed: ${text}`,
    )
    if (fault !== undefined) faults.push(`${tenant}: ${fault.text}.`)
  }
  if (faults.length > 0) throw new TunnelError('AUDIT', faults.join(' '))
}

async function* ofSource(
  options: VerifyFlags & Context,
  checkpoint: CheckpointJson | undefined,
): AsyncGenerator<ChainVerdict> {
  await using source = await openSource(options)
  const named = options.tenant ?? checkpoint?.tenant
  // A checkpoint says which chain is meant, too; of those in a data directory all are looked at all the same.
  const isAll = options.tenant === undefined && (options.relay === undefined || checkpoint === undefined)
  const chains = new Set([...(isAll ? await source.chains() : []), ...(named === undefined ? [] : [named])])
  for (const chain of chains) {
    options.signal.throwIfAborted()
    yield await source.verify(chain, checkpoint?.tenant === chain ? checkpoint : undefined)
  }
}

async function* ofExport(
  options: VerifyFlags & Context & { export: string },
  checkpoint: CheckpointJson | undefined,
): AsyncGenerator<ChainVerdict> {
  const { signal, stdin } = options
  if (options.relay !== undefined || options.tenant !== undefined) {
    throw new TunnelError(
      'USAGE',
      'An export says itself what it is of: --export without --relay and --tenant.',
    )
  }
  const certificate = checkpoint === undefined ? undefined : await relayCa(options)
  const file = options.export === '-' ? stdin : createReadStream(options.export, { signal })
  let tenant = checkpoint?.tenant ?? ''
  async function* noted(): AsyncGenerator<readonly AuditRecord[]> {
    for await (const page of exportedRecords(file)) {
      signal.throwIfAborted()
      tenant = page[0]?.tenantId ?? tenant
      if (checkpoint !== undefined && tenant !== checkpoint.tenant) {
        throw new TunnelError(
          'USAGE',
          `The checkpoint is of ${checkpoint.tenant}, and the export of ${tenant}.`,
        )
      }
      yield page
    }
  }
  const verdict = await verifyRecords(
    noted(),
    checkpoint === undefined ? [] : [checkpointOf(checkpoint)],
    (one) => certificate !== undefined && isCheckpointGenuine(certificate, one),
  )
  const { records, vouchedTo, fault } = verdict
  yield { tenant, records, vouchedTo, holds: fault === undefined, ...(fault && { fault }) }
}

/** @throws {TunnelError} CONFIG where the file is none that `audit checkpoint` printed */
async function readCheckpoint(path: string): Promise<CheckpointJson> {
  const text = await readPlainFile(path, CHECKPOINT_MAX_BYTES, 'CONFIG')
  const parsed = fromJson(text.toString('utf8'), checkpointSchema)
  if (parsed.success) return parsed.output
  throw new TunnelError('CONFIG', `${path} is not what "sallyport audit checkpoint" prints.`)
}
