import type { Operation } from './operation.ts'
import {
  addPerson,
  grantRole,
  listPeople,
  makeSetupLink,
  removePerson,
  resetPerson,
  revokeRole,
  setLockout,
  unlockPerson,
} from './people.ts'
import {
  addKey,
  endSession,
  letDeviceIn,
  listKeys,
  listSessions,
  removeKey,
  showDevice,
} from './people-access.ts'
import {
  beginTotpFactor,
  beginWebauthnFactor,
  changePassword,
  confirmTotpFactor,
  confirmWebauthnFactor,
  listFactors,
  removeFactor,
  renewCodes,
} from './people-account.ts'

/** What concerns people: first what administrators do, then what everybody does with the own account. */
export const PEOPLE_OPERATIONS: readonly Operation[] = [
  makeSetupLink,
  addPerson,
  listPeople,
  removePerson,
  unlockPerson,
  resetPerson,
  grantRole,
  revokeRole,
  setLockout,
  changePassword,
  listFactors,
  beginTotpFactor,
  confirmTotpFactor,
  beginWebauthnFactor,
  confirmWebauthnFactor,
  removeFactor,
  renewCodes,
  listSessions,
  endSession,
  addKey,
  listKeys,
  removeKey,
  showDevice,
  letDeviceIn,
]
