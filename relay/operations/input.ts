import * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { Relay } from '../relay.ts'
import { DEFAULT_ENVIRONMENT, DEFAULT_TENANT } from '../store/store.ts'
import type { Place } from './operation.ts'

/** A text of a request. */
export const text = v.pipe(v.string(), v.maxLength(512))

/** A tenant, the default one where none is named. */
export const tenantField = { tenant: v.optional(text, DEFAULT_TENANT) }

/** An environment of a tenant, the default ones where none is named. */
export const placeFields = { ...tenantField, environment: v.optional(text, DEFAULT_ENVIRONMENT) }

/** For what shows all of a tenant where no environment is named. */
export const viewFields = { ...tenantField, environment: v.optional(text) }

/** Milliseconds since 1970, or a length of time in ms. */
export const ms = v.pipe(v.number(), v.integer(), v.minValue(0))

export function tenantPlace({ tenant }: { readonly tenant: string }): Place {
  return { tenantId: tenant }
}

export function placeOf(input: {
  readonly tenant: string
  readonly environment?: string | undefined
  readonly site?: string | undefined
}): Place {
  const { tenant, environment, site } = input
  return { tenantId: tenant, environment, site }
}

/** @throws {TunnelError} NOT_FOUND where there is no such tenant */
export async function requireTenant({ authority }: Relay, tenant: string): Promise<void> {
  const all = await authority.store.relay.listTenants()
  if (all.every(({ id }) => id !== tenant)) {
    throw new TunnelError('NOT_FOUND', `There is no tenant ${tenant}.`, {
      next: 'sallyport relay tenant list',
    })
  }
}
