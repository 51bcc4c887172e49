import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { PRODUCT_VERSION } from '../../shared/version.ts'
import { publishedPackage } from '../published-package.ts'
import { PLATFORMS, type Platform } from './editions.ts'
import { readSigning, type Signing } from './signing.ts'
import { testSigning } from './test-keys.ts'

/** The oldest version that the makers still stand behind; raised when an older one must not be run any more. */
const MINIMUM_VERSION = '0.1.0'

/** How long a release manifest is good, in seconds: who gets no newer one for so long is being kept from it. */
const MANIFEST_LIFE_S = 365 * 86_400

const STAGES = ['executables', 'packages', 'release'] as const

/** A part of the build; each works on what the one before left. */
export type Stage = (typeof STAGES)[number]

/** What one build is to do. */
export interface Settings {
  readonly root: string
  /** Where everything goes. */
  readonly out: string
  /** What is kept between builds: Node for other platforms. */
  readonly cache: string
  readonly stages: readonly Stage[]
  readonly platforms: readonly Platform[]
  readonly version: string
  readonly minimum: string
  /** Seconds since 1970: the one time that stands in everything that is made. */
  readonly epoch: number
  /** The end of the manifests, in seconds since 1970. */
  readonly expires: number
  readonly maintainer: string
  readonly signing: Signing
}

/**
 * Reads the command line and the environment.
 * @throws {Error} where they are not right
 */
export async function readSettings(args: readonly string[], root: string): Promise<Settings> {
  const { values, positionals } = parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      out: { type: 'string', default: join(root, 'out') },
      platform: { type: 'string', multiple: true },
      'test-keys': { type: 'string', default: join(root, 'node_modules/.cache/sallyport/test-keys') },
    },
  })
  const project: unknown = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'))
  publishedPackage(project, PRODUCT_VERSION)
  const names = PLATFORMS.map(({ name }) => name)
  const platforms = chosen(names, values.platform ?? [], 'platform')
  const { SALLYPORT_SIGNING, SALLYPORT_MAINTAINER } = process.env
  const epoch = readEpoch(root)
  return {
    root,
    out: values.out,
    cache: join(root, 'node_modules/.cache/sallyport/node'),
    stages: chosen(STAGES, positionals, 'stage'),
    platforms: PLATFORMS.filter(({ name }) => platforms.includes(name)),
    version: PRODUCT_VERSION,
    minimum: MINIMUM_VERSION,
    epoch,
    expires: epoch + MANIFEST_LIFE_S,
    maintainer: SALLYPORT_MAINTAINER ?? 'Sallyport maintainers <maintainers@sallyport.invalid>',
    signing:
      SALLYPORT_SIGNING === undefined
        ? await testSigning(values['test-keys'])
        : readSigning(SALLYPORT_SIGNING),
  }
}

/** All of `names`, or those that were said, in their own order. */
function chosen<Name extends string>(
  names: readonly Name[],
  said: readonly string[],
  what: string,
): readonly Name[] {
  const unknown = said.find((name) => !names.some((known) => known === name))
  if (unknown !== undefined) throw new Error(`There is no ${what} ${unknown}: ${names.join(', ')}.`)
  return said.length === 0 ? names : names.filter((name) => said.includes(name))
}

/** SOURCE_DATE_EPOCH, or else the time of the commit that is built. */
function readEpoch(root: string): number {
  const said = process.env.SOURCE_DATE_EPOCH
  const text = said ?? execFileSync('git', ['log', '-1', '--format=%ct'], { cwd: root, encoding: 'utf8' })
  const epoch = Number(text)
  if (Number.isSafeInteger(epoch) && epoch > 0) return epoch
  throw new Error('SOURCE_DATE_EPOCH is the seconds since 1970 that the build is dated with.')
}
