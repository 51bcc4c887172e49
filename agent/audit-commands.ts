import type { Output } from '../shared/cli/output.ts'
import { auditDirectory, readAgentChain } from './audit/read.ts'
import type { AgentRecord } from './audit/record.ts'

export interface AgentAuditOptions {
  readonly data: string
  readonly signal: AbortSignal
  readonly output: Output
}

/**
 * `sallyport agent audit verify`.
 * @throws {TunnelError} AUDIT naming the first record that is not what was written
 */
export async function verifyAgentAudit({ data, signal, output }: AgentAuditOptions): Promise<void> {
  let first: AgentRecord | undefined
  let last: AgentRecord | undefined
  for await (const record of readAgentChain(auditDirectory(data), signal)) {
    first ??= record
    last = record
  }
  const [from, to] = [first?.seq ?? 0, last?.seq ?? 0]
  output.result(
    { first: from, last: to, hash: last?.hash, holds: true },
    last === undefined
      ? 'there are no records'
      : `records ${from} to ${to} hold; the last hash is ${last.hash}`,
  )
}

/** `sallyport agent audit list`: the oldest first. @throws {TunnelError} AUDIT as verify does */
export async function listAgentAudit(
  options: AgentAuditOptions & { readonly after?: string },
): Promise<void> {
  const { data, signal, output } = options
  const after = Number(options.after ?? 0)
  for await (const record of readAgentChain(auditDirectory(data), signal)) {
    if (record.seq <= after) continue
    const { seq, time, action, object, opener, source, outcome, detail } = record
    const words = [`${seq}`, new Date(time).toISOString(), outcome.padEnd(8), action.padEnd(12), object]
    const who = opener === '' ? [] : ['for', opener, 'from', source]
    output.result({ ...record }, [...words, ...who, detail].filter((word) => word !== '').join('  '))
  }
}
