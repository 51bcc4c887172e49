import type { OpenRoute } from '../api/open-route.ts'
import {
  backChannelLogoutRoute,
  callbackRoute,
  frontChannelLogoutRoute,
  singleLogoutRoute,
  startRoute,
} from './routes.ts'
import { assertionRoute, metadataRoute, samlLogoutRoute } from './saml-routes.ts'

/** The routes of single sign-on: nobody is known there yet. */
export const SSO_ROUTES: readonly OpenRoute[] = [
  startRoute,
  callbackRoute,
  backChannelLogoutRoute,
  frontChannelLogoutRoute,
  metadataRoute,
  assertionRoute,
  samlLogoutRoute,
  singleLogoutRoute,
]
