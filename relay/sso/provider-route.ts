import * as v from 'valibot'
import { isTunnelError } from '../../shared/errors.ts'
import type { RequestOrigin } from '../api/caller.ts'
import type { OpenAnswer } from '../api/open-route.ts'
import { sessionCookie } from '../people/routes.ts'
import { type OpenedSession, SESSION_LIFE } from '../people/sessions.ts'
import { endFlowCookie } from './flow.ts'
import { goOnPage } from './pages.ts'
import type { Provider } from './provider.ts'
import { requireProvider, type Sso } from './sso.ts'

const name = v.pipe(v.string(), v.maxLength(63))

/** Where the routes of a provider begin. */
export const PROVIDER_PATH = '/sso/{tenant}/{provider}'

/** What the path of a provider's routes says. */
export const providerFields = { tenant: name, provider: name }

/** The answer to a browser that has logged in: its session, and on from here. */
export function loggedIn(
  { token }: OpenedSession,
  returnTo: string,
  sameSite: 'Lax' | 'None',
): OpenAnswer<object> {
  const cookies = [sessionCookie(token, SESSION_LIFE.absoluteMs / 1_000), endFlowCookie(sameSite)]
  return { html: { text: goOnPage(returnTo) }, cookies }
}

/** Does `work` with the provider; a refusal leaves a record in the tenant's chain. */
export async function audited<T>(
  sso: Sso,
  { tenant, provider: named }: { readonly tenant: string; readonly provider: string },
  { source, traceId }: RequestOrigin,
  work: (provider: Provider) => Promise<T>,
): Promise<T> {
  const provider = await requireProvider(sso, tenant, named)
  try {
    return await work(provider)
  } catch (error) {
    const [outcome, detail] = isTunnelError(error)
      ? ([error.code, error.detail] as const)
      : (['INTERNAL', ''] as const)
    const actor = { kind: 'nobody', id: '' } as const
    sso.audit({
      tenantId: tenant,
      actor,
      source,
      traceId,
      action: 'sso.refuse',
      object: named,
      outcome,
      detail,
    })
    throw error
  }
}
