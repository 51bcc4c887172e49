import type { Delivery } from '../../../relay/audit/delivery/delivery.ts'
import type { Freeze } from '../../../relay/store/access-store.ts'
import type { Store, StoreTogether } from '../../../relay/store/store.ts'
import type { NewSupport } from '../../../relay/store/support-store.ts'
import { actAt } from '../../support/acts.ts'
import { fillPeople, PEOPLE_WALK } from './people-walk.ts'
import { fillSso, SSO_WALK } from './sso-walk.ts'
import { hashOf, newAgent, newConnector } from './store-fixture.ts'

/** What a function of the store gives that finds nothing: a value, or the code it fails with. */
export type Nothing = { readonly gives: unknown } | { readonly code: string }

export interface WalkStep {
  /** Calls the function for `tenant` with the names and ids of a filled tenant. */
  call(store: StoreTogether, tenant: string): Promise<unknown>
  /** What it gives to a tenant that has nothing of that kind. */
  readonly nothing: Nothing
}

const act = actAt(2_000)
const gives = (value: unknown): Nothing => ({ gives: value })
const PUBLICATION = {
  kind: 'host',
  address: 'app.example.org',
  environment: 'production',
  site: 'berlin',
  resource: 'web',
} as const

const REQUEST = {
  ...{ id: 'r', connectorId: 'c', site: 'berlin', resource: 'db' },
  ...{ reason: 'a fault', durationMs: 60_000, expiresAt: 9_000 },
} as const
const RESTRICTED = { kind: 'resource', environment: 'production', target: 'berlin/db' } as const
const MACHINE = {
  ...{ id: 'm', name: 'deploy', hash: hashOf('machine') },
  assignment: { tenantId: '', role: 'auditor' },
} as const
const SUPPORT: NewSupport = {
  ...{ id: 'support', personId: 'ann', role: 'auditor', reason: 'a fault' },
  ...{ environment: 'production', site: undefined, beginsAt: 2_000, endsAt: 9_000 },
}
const FREEZE: Freeze = {
  ...{ kind: 'site', environment: 'production', name: 'berlin' },
  ...{ reason: 'a fault', createdAt: 2_000 },
}

const REPLY = { id: 'first', caller: 'person:ann', requestHash: new Uint8Array(32) }

const DELIVERY: Delivery = {
  ...{ name: 'siem', kind: 'syslog', target: 'siem.example.org:6514', ca: undefined },
  ...{ position: 0, createdAt: 2_000 },
}

/** Every function of the store that takes a tenant. A test fails where one is missing here. */
export const WALK: Readonly<Record<keyof StoreTogether, WalkStep>> = {
  ...PEOPLE_WALK,
  ...SSO_WALK,
  listEnvironments: { call: (store, t) => store.listEnvironments(t), nothing: gives([]) },
  addEnvironment: {
    call: (store, t) => store.addEnvironment(t, 'staging', false, act),
    nothing: { code: 'NOT_FOUND' },
  },
  removeEnvironment: { call: (store, t) => store.removeEnvironment(t, 'empty', act), nothing: gives(false) },
  listSites: { call: (store, t) => store.listSites(t), nothing: gives([]) },
  counts: {
    call: (store, t) => store.counts(t, 1_500),
    nothing: gives({ sites: 0, agents: 0, connectors: 0, publications: 0, openJoinTokens: 0 }),
  },
  createJoinToken: {
    call: (store, t) =>
      store.createJoinToken(
        t,
        { tokenHash: hashOf('new'), environment: 'production', site: 'berlin', expiresAt: 9_000 },
        act,
      ),
    nothing: { code: 'NOT_FOUND' },
  },
  isJoinTokenOpen: {
    call: (store, t) => store.isJoinTokenOpen(t, hashOf('open'), 1_500),
    nothing: gives(false),
  },
  enrollAgent: {
    call: (store, t) => store.enrollAgent(t, hashOf('open'), newAgent('late'), act),
    nothing: { code: 'JOIN_TOKEN' },
  },
  findAgent: { call: (store, t) => store.findAgent(t, 'a'), nothing: gives(undefined) },
  listAgents: { call: (store, t) => store.listAgents(t, { site: 'berlin' }), nothing: gives([]) },
  confirmAgentCertificate: {
    call: (store, t) => store.confirmAgentCertificate(t, 'a', 'serial-1-a'),
    nothing: gives(false),
  },
  renewAgent: {
    call: (store, t) =>
      store.renewAgent(t, 'a', 'serial-1-a', { serial: 's2', fingerprint: 'f2', notAfter: 20_000 }, act),
    nothing: gives(undefined),
  },
  revokeAgent: { call: (store, t) => store.revokeAgent(t, 'a', act), nothing: gives(false) },
  addConnector: {
    call: (store, t) =>
      store.addConnector(t, newConnector('new', 'new'), [{ site: 'berlin', resource: 'db' }], act),
    nothing: { code: 'NOT_FOUND' },
  },
  findConnector: { call: (store, t) => store.findConnector(t, 'c'), nothing: gives(undefined) },
  confirmConnectorCertificate: {
    call: (store, t) => store.confirmConnectorCertificate(t, 'c', 'serial-c'),
    nothing: gives(false),
  },
  renewConnector: {
    call: (store, t) =>
      store.renewConnector(t, 'c', 'serial-c', { serial: 's3', fingerprint: 'f3', notAfter: 20_000 }, act),
    nothing: gives(undefined),
  },
  findConnectorByName: {
    call: (store, t) => store.findConnectorByName(t, 'production', 'app'),
    nothing: gives(undefined),
  },
  listConnectors: { call: (store, t) => store.listConnectors(t, 'production'), nothing: gives([]) },
  revokeConnector: { call: (store, t) => store.revokeConnector(t, 'c', act), nothing: gives(false) },
  setGrants: { call: (store, t) => store.setGrants(t, 'c', [], act), nothing: { code: 'NOT_FOUND' } },
  listGrants: { call: (store, t) => store.listGrants(t, 'c'), nothing: gives([]) },
  putGrant: {
    call: (store, t) => store.putGrant(t, { connectorId: 'c', site: 'berlin', resource: 'files' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  removeGrant: {
    call: (store, t) => store.removeGrant(t, 'c', { site: 'berlin', resource: 'db' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  grantTerms: { call: (store, t) => store.grantTerms(t, 'c', 'berlin', 'db'), nothing: gives([]) },
  addGrantRequest: {
    call: (store, t) => store.addGrantRequest(t, { ...REQUEST, id: 'new' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  findGrantRequest: { call: (store, t) => store.findGrantRequest(t, 'r'), nothing: gives(undefined) },
  listGrantRequests: { call: (store, t) => store.listGrantRequests(t, 'production'), nothing: gives([]) },
  decideGrantRequest: {
    call: (store, t) => store.decideGrantRequest(t, 'r', true, act),
    nothing: gives(false),
  },
  addFreeze: {
    call: (store, t) => store.addFreeze(t, { ...FREEZE, name: 'munich' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  copyResponse: { call: (store, t) => store.copyResponse(t), nothing: gives('alarm') },
  setCopyResponse: {
    call: (store, t) => store.setCopyResponse(t, 'alarm', act),
    nothing: { code: 'NOT_FOUND' },
  },
  addDelivery: {
    call: (store, t) => store.addDelivery(t, { ...DELIVERY, name: 'second' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  removeDelivery: { call: (store, t) => store.removeDelivery(t, 'siem', act), nothing: gives(false) },
  findDelivery: { call: (store, t) => store.findDelivery(t, 'siem'), nothing: gives(undefined) },
  listDeliveries: { call: (store, t) => store.listDeliveries(t), nothing: gives([]) },
  moveDelivery: { call: (store, t) => store.moveDelivery(t, 'siem', 5), nothing: gives(false) },
  removeFreeze: { call: (store, t) => store.removeFreeze(t, FREEZE, act), nothing: gives(false) },
  putRestriction: {
    call: (store, t) => store.putRestriction(t, { name: 'new', ranges: ['192.0.2.0/24'] }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  removeRestriction: {
    call: (store, t) => store.removeRestriction(t, 'unused', act),
    nothing: gives(false),
  },
  listRestrictions: { call: (store, t) => store.listRestrictions(t), nothing: gives([]) },
  attachRestriction: {
    call: (store, t) => store.attachRestriction(t, 'unused', RESTRICTED, act),
    nothing: { code: 'NOT_FOUND' },
  },
  detachRestriction: {
    call: (store, t) => store.detachRestriction(t, 'office', RESTRICTED, act),
    nothing: gives(false),
  },
  addSupport: {
    call: (store, t) => store.addSupport(t, { ...SUPPORT, id: 'new' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  revokeSupport: { call: (store, t) => store.revokeSupport(t, 'support', act), nothing: gives(false) },
  listSupport: { call: (store, t) => store.listSupport(t), nothing: gives([]) },
  activeSupport: { call: (store, t) => store.activeSupport(t, SUPPORT.personId, 2_500), nothing: gives([]) },
  noteSupportUse: {
    call: (store, t) => store.noteSupportUse(t, 'support', 2_500),
    nothing: gives(undefined),
  },
  addMachine: {
    call: (store, t) => store.addMachine(t, { ...MACHINE, id: 'new', name: 'new' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  findMachine: { call: (store, t) => store.findMachine(t, 'm'), nothing: gives(undefined) },
  listMachines: { call: (store, t) => store.listMachines(t), nothing: gives([]) },
  revokeMachine: { call: (store, t) => store.revokeMachine(t, 'm', act), nothing: gives(false) },
  listFreezes: { call: (store, t) => store.listFreezes(t), nothing: gives([]) },
  publish: {
    call: (store, t) => store.publish(t, { ...PUBLICATION, address: 'new.example.org' }, act),
    nothing: { code: 'NOT_FOUND' },
  },
  unpublish: {
    call: (store, t) => store.unpublish(t, 'host', PUBLICATION.address, act),
    nothing: gives(false),
  },
  listPublications: { call: (store, t) => store.listPublications(t, 'production'), nothing: gives([]) },
  putSecret: {
    call: (store, t) => store.putSecret(t, 'new', Buffer.from('new'), act),
    nothing: { code: 'NOT_FOUND' },
  },
  getSecret: {
    call: async (store, t) => (await store.getSecret(t, 'totp/ann'))?.reveal().toString(),
    nothing: gives(undefined),
  },
  listSecrets: { call: (store, t) => store.listSecrets(t), nothing: gives([]) },
  removeSecret: { call: (store, t) => store.removeSecret(t, 'totp/ann', act), nothing: gives(false) },
  rekey: { call: (store, t) => store.rekey(t, act), nothing: gives(0) },
  rewrapKeys: { call: (store, t) => store.rewrapKeys(t), nothing: gives(undefined) },
  beginReply: {
    call: (store, t) => store.beginReply(t, REPLY, 2_000),
    nothing: { code: 'NOT_FOUND' },
  },
  keepReply: { call: (store, t) => store.keepReply(t, REPLY.id, 'new'), nothing: { code: 'NOT_FOUND' } },
  dropReply: { call: (store, t) => store.dropReply(t, REPLY.id), nothing: gives(undefined) },
  readAudit: {
    call: (store, t) => store.readAudit(t, { order: 'oldest', limit: 10, filter: { object: 'berlin' } }),
    nothing: gives({ records: [], next: undefined }),
  },
  auditHead: {
    call: (store, t) => store.auditHead(t),
    nothing: gives({ seq: 0, hash: new Uint8Array(32) }),
  },
  listAuditCheckpoints: { call: (store, t) => store.listAuditCheckpoints(t, 0), nothing: gives([]) },
  addAuditCheckpoint: {
    call: (store, t) =>
      store.addAuditCheckpoint(t, {
        tenantId: t,
        seq: 1,
        time: 5,
        hash: new Uint8Array(32),
        signature: new Uint8Array(64),
      }),
    nothing: gives(undefined),
  },
}

/** Gives a tenant one of everything that {@link WALK} asks for. */
export async function fillTenant(store: Store, tenant: string): Promise<void> {
  const token = { environment: 'production', site: 'berlin', expiresAt: 2_500 }
  await store.addEnvironment(tenant, 'empty', false, act)
  for (const name of ['spent', 'open']) {
    await store.createJoinToken(tenant, { ...token, tokenHash: hashOf(name) }, act)
  }
  await store.enrollAgent(tenant, hashOf('spent'), newAgent('a'), act)
  await store.addConnector(tenant, newConnector('c', 'app'), [{ site: 'berlin', resource: 'db' }], act)
  await store.addGrantRequest(tenant, REQUEST, act)
  await store.addFreeze(tenant, FREEZE, act)
  await store.setCopyResponse(tenant, 'freeze', act)
  for (const name of ['office', 'unused']) {
    await store.putRestriction(tenant, { name, ranges: ['192.0.2.0/24'] }, act)
  }
  await store.attachRestriction(tenant, 'office', RESTRICTED, act)
  await store.addDelivery(tenant, DELIVERY, act)
  await store.publish(tenant, PUBLICATION, act)
  await store.putSecret(tenant, 'totp/ann', Buffer.from(`seed of ${tenant}`), act)
  await store.beginReply(tenant, REPLY, 2_000)
  await fillPeople(store, tenant)
  await store.addSupport(tenant, SUPPORT, act)
  await store.addMachine(tenant, MACHINE, act)
  await fillSso(store, tenant)
  await store.addAuditCheckpoint(tenant, {
    tenantId: tenant,
    seq: 2,
    time: 5,
    hash: new Uint8Array(32),
    signature: new Uint8Array(64),
  })
}
