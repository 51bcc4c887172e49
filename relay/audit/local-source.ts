import type { Effects } from '../../shared/effects.ts'
import { TunnelError } from '../../shared/errors.ts'
import { checkpointOf, newestCheckpoint } from './checkpoint.ts'
import { followChain } from './follow.ts'
import { checkpointJson, recordJson } from './format.ts'
import { openAuditReader } from './reader.ts'
import type { AuditSource } from './source.ts'
import { AUDIT_PAGE_MAX } from './store.ts'
import { verifyChain } from './verify.ts'

/**
 * The chains in the data directory of a relay, whether it runs or not.
 * @throws {TunnelError} NOT_FOUND where no relay has its data there, STORE, PERMISSIONS
 */
export async function localSource(
  directory: string,
  { effects, signal }: { readonly effects: Pick<Effects, 'sleep'>; readonly signal: AbortSignal },
): Promise<AuditSource> {
  const reader = await openAuditReader(directory)
  const { store, certificate } = reader
  const check = async (chain: string) => {
    if ((await reader.chains()).includes(chain)) return
    throw new TunnelError('NOT_FOUND', `There is no tenant ${chain}.`, {
      next: 'sallyport relay tenant list',
    })
  }
  return {
    chains: reader.chains,

    page: async (chain, { behind, ...request }) => {
      await check(chain)
      const { records, next } = await store.readAudit(chain, { ...request, cursor: behind })
      return { items: records.map(recordJson), next }
    },

    async *follow(chain, filter, after) {
      await check(chain)
      const begin = after ?? (await store.auditHead(chain)).seq
      const options = { store, effects, tenantId: chain, filter, limit: AUDIT_PAGE_MAX, signal }
      for await (const { records } of followChain({ ...options, after: begin }))
        yield* records.map(recordJson)
    },

    verify: async (chain, checkpoint) => {
      // A chain that a checkpoint speaks of was there once, so one that is gone is no wrong name.
      if (checkpoint?.tenant !== chain) await check(chain)
      const witnessed = checkpoint === undefined ? [] : [checkpointOf(checkpoint)]
      const verdict = await verifyChain({ store, tenantId: chain, certificate, witnessed, signal })
      const { records, vouchedTo, fault } = verdict
      return { tenant: chain, records, vouchedTo, holds: fault === undefined, ...(fault && { fault }) }
    },

    checkpoint: async (chain) => {
      await check(chain)
      return checkpointJson(await newestCheckpoint(store, chain))
    },

    [Symbol.asyncDispose]: () => reader[Symbol.asyncDispose](),
  }
}
