import { createHash } from 'node:crypto'
import { formatInstant } from '../../shared/release/manifest.ts'
import type { Edition } from './editions.ts'
import type { Lockfile } from './lockfile.ts'

export interface SbomOptions {
  readonly edition: Edition
  readonly version: string
  /** The packages in the bundle, as package-lock.json names them. */
  readonly packages: readonly string[]
  /** The version of Node in the executables. */
  readonly node: string
  readonly lockfile: Lockfile
  /** Seconds since 1970. */
  readonly epoch: number
}

/**
 * The bill of materials of one edition, as CycloneDX 1.6 (ECMA-424): what the bundler put in, with the versions and hashes
 * of the lockfile. What only builds or tests is not in it, because it is not in the executable.
 */
export function makeSbom(options: SbomOptions): string {
  const { edition, version, packages, node, lockfile, epoch } = options
  const components = packages.map((path) => componentOf(path, lockfile))
  const runtime = {
    type: 'platform',
    'bom-ref': `pkg:generic/node@${node}`,
    name: 'node',
    version: node,
    purl: `pkg:generic/node@${node}`,
    licenses: [{ license: { id: 'MIT' } }],
  }
  const name = `sallyport-${edition.name}`
  const self = `pkg:generic/${name}@${version}`
  const refs = [runtime, ...components].map((component) => component['bom-ref'])
  const content = {
    metadata: {
      timestamp: formatInstant(epoch * 1_000),
      component: {
        type: 'application',
        'bom-ref': self,
        name,
        version,
        purl: self,
        licenses: [{ license: { id: 'Apache-2.0' } }],
      },
    },
    components: [runtime, ...components],
    dependencies: [{ ref: self, dependsOn: refs }],
  }
  const document = {
    $schema: 'http://cyclonedx.org/schema/bom-1.6.schema.json',
    bomFormat: 'CycloneDX',
    specVersion: '1.6',
    serialNumber: `urn:uuid:${uuidOf(JSON.stringify(content))}`,
    version: 1,
    ...content,
  }
  return `${JSON.stringify(document, null, 2)}\n`
}

function componentOf(path: string, lockfile: Lockfile) {
  const entry = lockfile.packages[path]
  if (entry?.version === undefined || entry.integrity === undefined) {
    throw new Error(`package-lock.json has no version or hash of ${path}`)
  }
  const name = path.replace(/^.*node_modules\//, '')
  const purl = `pkg:npm/${name.replace('@', '%40')}@${entry.version}`
  const sha512 = Buffer.from(entry.integrity.slice('sha512-'.length), 'base64').toString('hex')
  return {
    type: 'library',
    'bom-ref': purl,
    name,
    version: entry.version,
    purl,
    hashes: [{ alg: 'SHA-512', content: sha512 }],
    ...(entry.license === undefined ? {} : { licenses: [licenseOf(entry.license)] }),
  }
}

function licenseOf(license: string) {
  const isExpression = /\s(OR|AND|WITH)\s/.test(license)
  return isExpression ? { expression: license } : { license: { id: license } }
}

/** A UUID made of what it names (RFC 9562 section 5.8), so that the same content has the same one. */
export function uuidOf(text: string): string {
  const bytes = createHash('sha256').update(text).digest().subarray(0, 16)
  bytes.writeUInt8((bytes.readUInt8(6) & 0x0f) | 0x80, 6)
  bytes.writeUInt8((bytes.readUInt8(8) & 0x3f) | 0x80, 8)
  const hex = bytes.toString('hex')
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-')
}
