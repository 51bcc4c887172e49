import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import * as v from 'valibot'

const lockfileSchema = v.object({
  packages: v.record(
    v.string(),
    v.looseObject({
      version: v.optional(v.string()),
      integrity: v.optional(v.pipe(v.string(), v.startsWith('sha512-'))),
      license: v.optional(v.string()),
    }),
  ),
})

/** The part of package-lock.json that is read here: packages by their place, such as `node_modules/ws`. */
export type Lockfile = v.InferOutput<typeof lockfileSchema>

export function readLockfile(root: string): Lockfile {
  return v.parse(lockfileSchema, JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8')))
}
