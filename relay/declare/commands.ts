import { createHash } from 'node:crypto'
import { constants } from 'node:fs'
import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { confirm } from '../../shared/cli/confirm.ts'
import type { Terminal } from '../../shared/cli/terminal.ts'
import { writePrivateFile } from '../../shared/config/private-file.ts'
import { TunnelError } from '../../shared/errors.ts'
import { askAll } from '../ask-all.ts'
import { askRelay, type CommandContext } from '../ask-relay.ts'
import { applyDeclaration, exportDeclaration, planDeclaration } from '../operations/declare.ts'
import { listTenants } from '../operations/tenants.ts'
import type { Document } from './document.ts'
import { type DeclaredFile, readDeclaredFile } from './file.ts'
import { formatDeclared, planLines, type ShownPlan } from './text.ts'

/** Thousands of changes with their records take a while, in ms. */
const APPLY_MS = 120_000

interface FileContext extends CommandContext {
  readonly file: string
  readonly env: Readonly<Record<string, string | undefined>>
}

interface ApplyOptions extends FileContext {
  readonly plan?: string
  readonly yes?: boolean
  /** Directory for what is shown once. */
  readonly out: string
  readonly terminal: Pick<Terminal, 'stdin' | 'stderr' | 'interactive'>
}

/** The plans of all tenants of a file. */
interface Whole {
  readonly digest: string
  readonly plans: readonly ShownPlan[]
  readonly changes: number
}

/** `sallyport plan`. @throws {TunnelError} DRIFT where something is not as declared */
export async function plan(options: FileContext & { drift?: boolean }): Promise<void> {
  const whole = await planAll(options, await readDeclaredFile(options.file, options))
  if (whole.changes > 0 || options.drift !== true) show(options, whole)
  if (whole.changes === 0) return
  throw new TunnelError('DRIFT', '', {
    next: `sallyport apply ${options.file} --plan ${whole.digest}; sallyport export shows what there is`,
  })
}

/** `sallyport apply`. @throws {TunnelError} USAGE, CONFLICT, and what the relay refuses with */
export async function apply(options: ApplyOptions): Promise<void> {
  const { file, output, yes = false, terminal } = options
  const declared = await readDeclaredFile(file, options)
  const whole = await planAll(options, declared)
  const { plan: meant = whole.digest } = options
  const { digest: found } = whole
  if (found !== meant) {
    throw new TunnelError('CONFLICT', 'This is not the plan of now; nothing was changed.', {
      next: `sallyport plan ${file}`,
    })
  }
  if (!output.json || whole.changes === 0) show(options, whole)
  if (whole.changes === 0) return
  if (!yes && options.plan === undefined) {
    if (!terminal.interactive || output.json) {
      throw new TunnelError('USAGE', 'Nothing was changed: nobody can be asked here.', {
        next: `sallyport apply ${file} --plan ${whole.digest}, or --yes`,
      })
    }
    await confirm('make it so? [y/N] ', options)
  }
  if (whole.plans.some(issues)) {
    await access(options.out, constants.W_OK).catch((cause: unknown) => {
      throw new TunnelError('DISK', `${options.out} cannot be written: secrets would be lost.`, { cause })
    })
  }
  for (const one of whole.plans) if (one.changes.length > 0) await applyOne(options, declared, one)
}

/** `sallyport export`. */
export async function exportDeclared(
  options: CommandContext & { tenant: readonly string[]; allTenants?: boolean },
): Promise<void> {
  const { output, allTenants = false } = options
  const names = allTenants
    ? (await askAll((page) => askRelay(options, listTenants, page))).map(({ name }) => name)
    : options.tenant
  const tenants: Record<string, Document> = {}
  for (const tenant of names) {
    const { declaration, left } = await askRelay(options, exportDeclaration, { tenant })
    if (left.length > 0)
      output.note(`left out of ${tenant}, since your roles do not show it: ${left.join(', ')}`)
    tenants[tenant] = declaration
  }
  output.result({ version: 1, tenants }, formatDeclared(tenants).trimEnd().split('\n'))
}

async function planAll(options: FileContext, declared: DeclaredFile): Promise<Whole> {
  const plans: ShownPlan[] = []
  for (const { tenant, document } of declared.tenants) {
    plans.push(
      await askRelay(options, planDeclaration, { ...document, tenant }).catch((error: unknown) => {
        throw declared.placed(error, tenant)
      }),
    )
  }
  const digests = plans.map(({ digest }) => digest)
  const [only = ''] = digests
  const digest = digests.length === 1 ? only : createHash('sha256').update(digests.join()).digest('hex')
  return { digest, plans, changes: plans.reduce((sum, { changes }) => sum + changes.length, 0) }
}

function show({ output }: FileContext, { digest, plans }: Whole): void {
  output.result({ digest, tenants: plans }, [...plans.flatMap(planLines), `plan ${digest}`])
}

/** Whether something is made that has a secret. */
function issues({ changes }: ShownPlan): boolean {
  return changes.some(
    ({ action, section }) =>
      (action === 'create' || action === 'replace') &&
      ['connectors', 'machines', 'deliveries'].includes(section),
  )
}

async function applyOne(
  options: ApplyOptions,
  declared: DeclaredFile,
  { tenant, digest }: ShownPlan,
): Promise<void> {
  const { output } = options
  const document = declared.tenants.find((one) => one.tenant === tenant)?.document
  const asked = askRelay(options, applyDeclaration, { ...document, tenant, digest }, { timeoutMs: APPLY_MS })
  const answer = await output.progress(`applying ${tenant}`, asked).catch((error: unknown) => {
    throw declared.placed(error, tenant)
  })
  const files: string[] = []
  for (const one of answer.issued) files.push(await keep(options.out, tenant, one))
  const { changes, warnings } = answer
  output.result({ tenant, digest, changes, files, warnings }, [
    `tenant ${tenant}: ${changes.length} ${changes.length === 1 ? 'change' : 'changes'} made`,
    ...files.map((file) => `  ${file} holds a secret that is shown this once`),
    ...warnings.map((warning) => `  it holds, but: ${warning}`),
  ])
}

const SUFFIXES = { connector: 'credentials.json', machine: 'client.json', delivery: 'signing-key' } as const

async function keep(
  directory: string,
  tenant: string,
  {
    kind,
    name,
    environment,
    content,
  }: { kind: keyof typeof SUFFIXES; name: string; environment?: string | undefined; content: string },
): Promise<string> {
  const words = [tenant, ...(environment === undefined ? [] : [environment]), name, SUFFIXES[kind]]
  const file = join(directory, words.join('.'))
  try {
    await writePrivateFile(file, content.endsWith('\n') ? content : `${content}\n`)
    return file
  } catch (cause) {
    throw new TunnelError(
      'DISK',
      `${kind} ${name} was made, and its secret could not be written to ${file}.`,
      {
        cause,
        next: `end it (sallyport relay revoke connector, relay machine revoke, audit delivery remove), then apply again`,
      },
    )
  }
}
