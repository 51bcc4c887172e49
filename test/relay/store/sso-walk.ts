import type { SsoStore } from '../../../relay/store/sso-store.ts'
import type { Store } from '../../../relay/store/store.ts'
import { actAt } from '../../support/acts.ts'
import type { Nothing, WalkStep } from './tenant-walk.ts'

const act = actAt(2_000)
const gives = (value: unknown): Nothing => ({ gives: value })

const PROVIDER = { name: 'corp', kind: 'oidc', settings: '{}' } as const

const SIGN_IN = {
  ...{ provider: 'corp', subject: '0042', login: 'eve', newPersonId: 'eve' },
  ...{ mustBeInvited: false, assignments: [], detail: 'corp, rule 1' },
}

const SESSION = { sessionId: 's', personId: 'ann', provider: 'corp', subject: '0001', sid: 'at-corp' }

/** Every function of the store that is about single sign-on. */
export const SSO_WALK: Readonly<Record<keyof SsoStore, WalkStep>> = {
  listProviders: { call: (store, t) => store.listProviders(t, '', 10), nothing: gives([]) },
  findProvider: { call: (store, t) => store.findProvider(t, 'corp'), nothing: gives(undefined) },
  addProvider: {
    call: (store, t) => store.addProvider(t, { ...PROVIDER, name: 'second' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  updateProvider: { call: (store, t) => store.updateProvider(t, PROVIDER, act), nothing: gives(false) },
  signInFederated: {
    call: (store, t) => store.signInFederated(t, SIGN_IN, act),
    nothing: { code: 'NOT_FOUND' },
  },
  listFederatedRoles: { call: (store, t) => store.listFederatedRoles(t), nothing: gives([]) },
  findFederatedSession: { call: (store, t) => store.findFederatedSession(t, 's'), nothing: gives(undefined) },
  addFederatedSession: {
    call: (store, t) => store.addFederatedSession(t, { ...SESSION, sessionId: 's2' }),
    nothing: { code: 'STORE' },
  },
  endFederatedSessions: {
    call: (store, t) => store.endFederatedSessions(t, 'corp', { sid: 'at-corp' }, act),
    nothing: gives(0),
  },
  removeProvider: { call: (store, t) => store.removeProvider(t, 'corp', act), nothing: gives(false) },
}

/** Gives a tenant with people a provider, and a session that began there. */
export async function fillSso(store: Store, tenant: string): Promise<void> {
  await store.addProvider(tenant, PROVIDER, act)
  await store.signInFederated(tenant, { ...SIGN_IN, subject: '0001', login: 'zoe', newPersonId: 'zoe' }, act)
  await store.addFederatedSession(tenant, SESSION)
}
