import type { OpenRoute } from '../api/open-route.ts'
import {
  beginDeviceRoute,
  confirmRoute,
  logInRoute,
  logOutRoute,
  pollDeviceRoute,
  secondFactorRoute,
  spendLinkRoute,
} from './routes.ts'

/** What people may ask before they have logged in. */
export const PEOPLE_ROUTES: readonly OpenRoute[] = [
  logInRoute,
  secondFactorRoute,
  confirmRoute,
  logOutRoute,
  spendLinkRoute,
  beginDeviceRoute,
  pollDeviceRoute,
]
