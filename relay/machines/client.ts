import { timingSafeEqual } from 'node:crypto'
import type { AuthorityContext } from '../authority/context.ts'
import { parseToken } from '../people/token.ts'
import type { TokenSubject } from './tokens.ts'

const KINDS = ['machine', 'connector'] as const

/** Whose id and secret these are; undefined for nobody's, and for those of who was revoked. */
export async function clientOf(
  { store, closed }: Pick<AuthorityContext, 'store' | 'closed'>,
  id: string,
  secret: string,
): Promise<TokenSubject | undefined> {
  for (const kind of KINDS) {
    const parsed = parseToken(kind, secret)
    if (parsed === undefined) continue
    const { tenantId, hash } = parsed
    const known =
      kind === 'machine' ? await store.findMachine(tenantId, id) : await connector(store, tenantId, id)
    const isRight = known?.hash !== undefined && timingSafeEqual(known.hash, hash)
    if (isRight && known.revokedAt === undefined && !closed.has(tenantId)) return { kind, tenantId, id }
  }
  return undefined
}

async function connector(store: AuthorityContext['store'], tenantId: string, id: string) {
  const found = await store.findConnector(tenantId, id)
  return found && { hash: found.secretHash, revokedAt: found.revokedAt }
}
