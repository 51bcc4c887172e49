import type { Output } from '../shared/cli/output.ts'
import { writeNewFile } from '../shared/config/new-file.ts'
import { readPlainFile } from '../shared/config/plain-file.ts'
import { writePrivateFile } from '../shared/config/private-file.ts'
import { TunnelError } from '../shared/errors.ts'
import { parseName } from '../shared/identity/names.ts'
import { askRelay, type CommandContext, streamRelay } from './ask-relay.ts'
import { relayCa } from './authority/relay-ca.ts'
import { checkRemovalProof, PROOF_MAX_BYTES } from './authority/removal-proof.ts'
import { exportTenantRoute } from './operations/tenant-export.ts'
import { closeTenant, openTenant, removeTenant } from './operations/tenants.ts'
import { exportTenant } from './store/export-tenant.ts'

/** A chain of millions of records takes its time to be removed, in ms. */
const REMOVAL_MS = 600_000

/** `sallyport relay tenant export`. */
export async function tenantExport(options: CommandContext & { name: string; file: string }): Promise<void> {
  const { name, file, output } = options
  const rows = await output.progress(`exporting ${name}`, writeExport(options, name, file))
  output.result({ tenant: name, file, rows }, `${file} holds the ${rows} rows of ${name}; keep it private`)
}

/**
 * Writes everything of a tenant into a new file: out of the data directory, whether a relay runs there or not, or as another relay
 * gives it.
 * @returns rows
 */
async function writeExport(
  { data, relay, signal }: Pick<CommandContext, 'data' | 'relay' | 'signal'>,
  tenant: string,
  file: string,
): Promise<number> {
  const parts: AsyncIterable<string | Uint8Array> =
    relay === undefined
      ? exportTenant(data, tenant)
      : streamRelay({ relay, signal }, exportTenantRoute, { tenant })
  let rows = 0
  await writeNewFile(file, whileWanted(parts, signal), ({ tail }) => {
    const end = /\},"rows":(\d+)\}\n$/.exec(tail.toString('latin1'))
    if (end === null) throw new TunnelError('PROTOCOL', 'The export broke off.')
    rows = Number(end[1])
  })
  return rows
}

async function* whileWanted<T>(parts: AsyncIterable<T>, signal: AbortSignal): AsyncGenerator<T> {
  for await (const part of parts) {
    signal.throwIfAborted()
    yield part
  }
}

/** `sallyport relay tenant remove`: closes it, exports it where that is asked, removes it, keeps the proof. */
export async function tenantRemove(
  options: CommandContext & { name: string; export?: string; proof?: string; yes?: boolean },
): Promise<void> {
  const { output } = options
  const name = parseName(options.name, 'tenant')
  const file = options.proof ?? `${name}.removal.json`
  if (options.yes !== true) {
    throw new TunnelError('USAGE', `Everything of ${name} would go, for good: say --yes.`, {
      next: `sallyport relay tenant remove ${name} --export ${name}.json --yes`,
    })
  }
  const { sessions } = await askRelay(options, closeTenant, { tenant: name })
  if (options.export !== undefined) {
    const exported = writeExport(options, name, options.export)
    await output.progress(`exporting ${name}`, exported).catch(async (error: unknown) => {
      // Without its export the tenant stays, and works again.
      await askRelay({ ...options, signal: new AbortController().signal }, openTenant, { tenant: name })
      throw error
    })
  }
  const removal = askRelay(options, removeTenant, { tenant: name }, { timeoutMs: REMOVAL_MS })
  const { proof } = await output.progress(`removing ${name}`, removal)
  await writePrivateFile(file, `${JSON.stringify(proof, undefined, 2)}\n`).catch((error: unknown) => {
    // There is no second one.
    output.result({ proof }, JSON.stringify(proof))
    throw error
  })
  const rows = Object.values(proof.removed).reduce((sum, count) => sum + count, 0)
  output.result({ tenant: name, sessions, rows, proof: file }, [
    `${name} is gone: ${rows} rows, ${sessions} sessions; ${file} proves it`,
    `next: sallyport relay tenant verify-proof ${file}`,
  ])
}

/** `sallyport relay tenant verify-proof`. */
export async function verifyProof(options: {
  data: string
  file: string
  ca?: string
  output: Output
}): Promise<void> {
  const { data, file, ca, output } = options
  const text = await readPlainFile(file, PROOF_MAX_BYTES, 'CONFIG')
  const proof = checkRemovalProof(text.toString('utf8'), await relayCa({ ca, data }))
  const rows = Object.entries(proof.removed).map(([table, count]) => `${table} ${count}`)
  output.result({ holds: true, ...proof }, [
    `the relay with ${proof.signer} removed ${proof.tenant} at ${proof.time}`,
    `rows: ${rows.join(', ')}`,
    `its audit chain ended with record ${proof.audit.records}, ${proof.audit.hash}`,
  ])
}
