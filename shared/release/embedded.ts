import { getAsset, isSea } from 'node:sea'
import { parseRoots, type Roots } from './roots.ts'

/** The name under which `npm run package` puts the root keys into an executable. */
export const ROOTS_ASSET = 'roots.json'

/** The root keys that were built into this executable; undefined where it runs from a checkout or an npm package. */
export function embeddedRoots(): Roots | undefined {
  return isSea() ? parseRoots(getAsset(ROOTS_ASSET, 'utf8')) : undefined
}
