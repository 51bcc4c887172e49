import { tokenRoute } from '../machines/token-route.ts'
import { PEOPLE_ROUTES } from '../people/open-routes.ts'
import { SSO_ROUTES } from '../sso/open-routes.ts'
import type { OpenRoute } from './open-route.ts'

/** Every route of the API that does not ask who calls. Who makes one adds it here. */
export const OPEN_ROUTES: readonly OpenRoute[] = [...PEOPLE_ROUTES, ...SSO_ROUTES, tokenRoute]
