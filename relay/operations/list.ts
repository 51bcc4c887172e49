import { listAudit, showCheckpoint, verifyAudit } from './audit.ts'
import { addConnector, inviteAgent, revokeAgent, revokeConnector, showInventory } from './identities.ts'
import type { Operation } from './operation.ts'
import { addPublication, removePublication } from './publications.ts'
import { showStatus } from './status.ts'
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
  inviteAgent,
  revokeAgent,
  addConnector,
  revokeConnector,
  showInventory,
  addPublication,
  removePublication,
  showStatus,
  listAudit,
  verifyAudit,
  showCheckpoint,
]
