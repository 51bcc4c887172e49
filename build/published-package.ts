import * as v from 'valibot'
import { OLDEST_NODE } from '../bin/node-version.js'

/** The parts of the project's own package.json that go into the published one; the rest serves development. */
const projectSchema = v.object({
  name: v.string(),
  version: v.pipe(v.string(), v.regex(/^\d+\.\d+\.\d+(-[0-9a-z.]+)?$/)),
  description: v.string(),
  license: v.string(),
  dependencies: v.record(v.string(), v.string()),
})

/**
 * The package.json of what is published, made from the project's. It asks for a Node instead of bringing one, and
 * names our packages with the exact versions that were tested.
 * @throws {Error} where the version is not the one that the program shows
 */
export function publishedPackage(project: unknown, shownVersion: string): Record<string, unknown> {
  const { name, version, description, license, dependencies } = v.parse(projectSchema, project)
  if (version !== shownVersion) {
    throw new Error(`package.json has version ${version}, but shared/version.ts shows ${shownVersion}`)
  }
  return {
    name,
    version,
    description,
    license,
    type: 'module',
    bin: { sallyport: 'bin/sallyport.js' },
    exports: {
      '.': { types: './connector/index.d.ts', default: './connector/index.js' },
      './package.json': './package.json',
    },
    engines: { node: `>=${OLDEST_NODE}` },
    dependencies,
  }
}
