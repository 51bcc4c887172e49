import type { PeopleStore } from '../../../relay/store/people-store.ts'
import type { Store } from '../../../relay/store/store.ts'
import { actAt } from '../../support/acts.ts'
import { hashOf } from './store-fixture.ts'
import type { Nothing, WalkStep } from './tenant-walk.ts'

const act = actAt(2_000)
const gives = (value: unknown): Nothing => ({ gives: value })
const notFound: Nothing = { code: 'NOT_FOUND' }

const SESSION = {
  id: 's',
  personId: 'ann',
  carrier: 'cookie',
  how: 'password',
  source: '192.0.2.1',
  createdAt: 1_000,
  authenticatedAt: 1_000,
  hasSecondFactor: true,
  seenAt: 1_000,
  address: 'local',
} as const

const KEY = { id: 'k', personId: 'ann', name: 'ci', createdAt: 1_000, expiresAt: 9_000 }

const FACTOR = {
  id: 'f',
  kind: 'totp',
  name: 'phone',
  createdAt: 1_000,
  isConfirmed: true,
  counter: 0,
  credential: '',
} as const

const OWNER = { id: 'olga', login: 'olga', passwordHash: 'hash' }

const operator = (tenantId: string) => ({ tenantId, role: 'operator' }) as const

/** Every function of the store that is about people. */
export const PEOPLE_WALK: Readonly<Record<keyof PeopleStore, WalkStep>> = {
  findPerson: { call: (store, t) => store.findPerson(t, 'ann'), nothing: gives(undefined) },
  listPeople: { call: (store, t) => store.listPeople(t, '', 10), nothing: gives([]) },
  addPerson: {
    call: (store, t) => store.addPerson(t, { id: 'bob', login: 'bob' }, act),
    nothing: notFound,
  },
  removePerson: { call: (store, t) => store.removePerson(t, 'ann', act), nothing: gives(false) },
  listAssignments: { call: (store, t) => store.listAssignments(t, 'ann'), nothing: gives([]) },
  grantRole: {
    call: (store, t) => store.grantRole(t, 'ann', { tenantId: t, role: 'auditor' }, act),
    nothing: notFound,
  },
  revokeRole: { call: (store, t) => store.revokeRole(t, 'ann', operator(t), act), nothing: gives(false) },
  hasOwner: {
    call: async (store, t) => {
      await store.addFirstOwner(t, hashOf('owner'), OWNER, act)
      return store.hasOwner(t)
    },
    nothing: gives(false),
  },
  lockoutAfter: { call: (store, t) => store.lockoutAfter(t), nothing: gives(10) },
  secondFactorSince: {
    call: async (store, t) => {
      await store.demandSecondFactor(t, true, act)
      return store.secondFactorSince(t)
    },
    nothing: notFound,
  },
  demandSecondFactor: { call: (store, t) => store.demandSecondFactor(t, true, act), nothing: notFound },
  setLockoutAfter: { call: (store, t) => store.setLockoutAfter(t, 5, act), nothing: notFound },
  viewLogin: {
    call: (store, t) => store.viewLogin(t, 'ann', 'local'),
    nothing: gives({
      person: undefined,
      addressFailures: undefined,
      isAdministrator: false,
      otherAdministrators: 0,
      lockoutAfter: 10,
    }),
  },
  noteLoginFailure: {
    call: (store, t) =>
      store.noteLoginFailure(t, { personId: 'ann', address: 'local', detail: 'password' }, act),
    nothing: gives(false),
  },
  openSession: {
    call: (store, t) => store.openSession(t, { ...SESSION, id: 's2', hash: hashOf('s2') }, act),
    nothing: { code: 'STORE' },
  },
  findSession: { call: (store, t) => store.findSession(t, hashOf('s')), nothing: gives(undefined) },
  touchSession: {
    call: (store, t) => store.touchSession(t, hashOf('s'), 3_000),
    nothing: gives(undefined),
  },
  rotateSession: {
    call: (store, t) => store.rotateSession(t, 's', { hash: hashOf('s3'), hasSecondFactor: true }, act),
    nothing: gives(false),
  },
  endSession: { call: (store, t) => store.endSession(t, 's', act), nothing: gives(false) },
  listSessions: { call: (store, t) => store.listSessions(t, 'ann'), nothing: gives([]) },
  unlockPerson: { call: (store, t) => store.unlockPerson(t, 'ann', act), nothing: gives(false) },
  setPassword: { call: (store, t) => store.setPassword(t, 'ann', 'hash', act), nothing: gives(false) },
  rehashPassword: {
    call: (store, t) => store.rehashPassword(t, 'ann', 'before', 'after'),
    nothing: gives(undefined),
  },
  createLink: {
    call: (store, t) => store.createLink(t, { hash: hashOf('new'), personId: 'ann', expiresAt: 9_000 }, act),
    nothing: notFound,
  },
  findLink: { call: (store, t) => store.findLink(t, hashOf('link'), 1_500), nothing: gives(undefined) },
  spendLink: { call: (store, t) => store.spendLink(t, hashOf('link'), 'hash', act), nothing: gives(false) },
  addFirstOwner: {
    call: (store, t) => store.addFirstOwner(t, hashOf('owner'), OWNER, act),
    nothing: gives(false),
  },
  listFactors: { call: (store, t) => store.listFactors(t, 'ann'), nothing: gives([]) },
  addFactor: {
    call: (store, t) => store.addFactor(t, 'ann', { ...FACTOR, id: 'f2' }, act),
    nothing: notFound,
  },
  confirmFactor: {
    call: (store, t) => store.confirmFactor(t, 'ann', 'waiting', 1, act),
    nothing: gives(false),
  },
  useFactor: { call: (store, t) => store.useFactor(t, 'ann', 'f', 5), nothing: gives(false) },
  removeFactor: { call: (store, t) => store.removeFactor(t, 'ann', 'f', act), nothing: gives(false) },
  setRecoveryCodes: {
    call: (store, t) => store.setRecoveryCodes(t, 'ann', [hashOf('r2')], act),
    nothing: notFound,
  },
  countRecoveryCodes: { call: (store, t) => store.countRecoveryCodes(t, 'ann'), nothing: gives(0) },
  spendRecoveryCode: {
    call: (store, t) => store.spendRecoveryCode(t, 'ann', hashOf('r'), act),
    nothing: gives(false),
  },
  addKey: {
    call: (store, t) => store.addKey(t, { ...KEY, id: 'k2', hash: hashOf('k2'), assignments: [] }, act),
    nothing: notFound,
  },
  findKey: { call: (store, t) => store.findKey(t, hashOf('k')), nothing: gives(undefined) },
  listKeys: { call: (store, t) => store.listKeys(t, 'ann'), nothing: gives([]) },
  removeKey: { call: (store, t) => store.removeKey(t, 'ann', 'k', act), nothing: gives(false) },
}

/** Gives a tenant a person with one of everything that {@link PEOPLE_WALK} asks for. */
export async function fillPeople(store: Store, tenant: string): Promise<void> {
  await store.addPerson(tenant, { id: 'ann', login: 'ann' }, act)
  await store.setLockoutAfter(tenant, 1, act)
  await store.setPassword(tenant, 'ann', 'before', act)
  await store.grantRole(tenant, 'ann', operator(tenant), act)
  await store.openSession(tenant, { ...SESSION, hash: hashOf('s') }, act)
  await store.createLink(tenant, { hash: hashOf('link'), personId: 'ann', expiresAt: 9_000 }, act)
  await store.createLink(tenant, { hash: hashOf('owner'), personId: undefined, expiresAt: 9_000 }, act)
  await store.addFactor(tenant, 'ann', FACTOR, act)
  await store.addFactor(tenant, 'ann', { ...FACTOR, id: 'waiting', isConfirmed: false }, act)
  await store.setRecoveryCodes(tenant, 'ann', [hashOf('r')], act)
  await store.addKey(tenant, { ...KEY, hash: hashOf('k'), assignments: [operator(tenant)] }, act)
}
