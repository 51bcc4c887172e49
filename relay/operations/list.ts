import { listAudit, showCheckpoint, verifyAudit } from './audit.ts'
import { listBackups, makeBackup, pruneBackups } from './backups.ts'
import { setCopies, showCopies } from './copies.ts'
import { applyDeclaration, exportDeclaration, planDeclaration } from './declare.ts'
import { addDelivery, listDeliveries, removeDelivery, testDelivery } from './delivery.ts'
import { addFreeze, listFreezes, removeFreeze } from './freeze.ts'
import { approveGrantRequest, listGrantRequests, refuseGrantRequest, requestGrant } from './grant-requests.ts'
import { addGrant, listGrants, removeGrant } from './grants.ts'
import { addConnector, inviteAgent, revokeAgent, revokeConnector } from './identities.ts'
import { listAgents, listConnectors, listPublications, listSites } from './inventory.ts'
import { addMachine, listMachines, revokeMachine } from './machines.ts'
import type { Operation } from './operation.ts'
import { addOperator, listOperators, removeOperator } from './operators.ts'
import { PEOPLE_OPERATIONS } from './people-list.ts'
import { addPublication, removePublication } from './publications.ts'
import {
  attachRestriction,
  detachRestriction,
  listRestrictions,
  removeRestriction,
  setRestriction,
} from './restrictions.ts'
import { SECOND_FACTOR_OPERATIONS } from './second-factor.ts'
import { SSO_OPERATIONS } from './sso.ts'
import { showStatus } from './status.ts'
import { addSupport, listSupport, revokeSupport } from './support.ts'
import {
  addEnvironment,
  addTenant,
  closeTenant,
  listEnvironments,
  listTenants,
  openTenant,
  removeEnvironment,
  removeTenant,
  rotateKeys,
} from './tenants.ts'

/** Everything that can be done to a relay. */
export const OPERATIONS: readonly Operation[] = [
  addTenant,
  listTenants,
  closeTenant,
  openTenant,
  removeTenant,
  addEnvironment,
  listEnvironments,
  removeEnvironment,
  rotateKeys,
  addOperator,
  listOperators,
  removeOperator,
  makeBackup,
  listBackups,
  pruneBackups,
  inviteAgent,
  revokeAgent,
  addConnector,
  revokeConnector,
  listSites,
  listAgents,
  listConnectors,
  listPublications,
  addPublication,
  removePublication,
  showStatus,
  ...PEOPLE_OPERATIONS,
  ...SECOND_FACTOR_OPERATIONS,
  ...SSO_OPERATIONS,
  listAudit,
  verifyAudit,
  showCheckpoint,
  addDelivery,
  listDeliveries,
  removeDelivery,
  testDelivery,
  addGrant,
  removeGrant,
  listGrants,
  requestGrant,
  listGrantRequests,
  approveGrantRequest,
  refuseGrantRequest,
  addFreeze,
  removeFreeze,
  listFreezes,
  showCopies,
  setCopies,
  setRestriction,
  removeRestriction,
  listRestrictions,
  attachRestriction,
  detachRestriction,
  addSupport,
  revokeSupport,
  listSupport,
  addMachine,
  revokeMachine,
  listMachines,
  planDeclaration,
  applyDeclaration,
  exportDeclaration,
]
