import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { serviceUnit, sysusersFile, tmpfilesFile } from '../../agent/service/unit.ts'
import { MANIFEST_NAME } from '../../shared/release/running.ts'
import type { Edition } from './editions.ts'
import type { TreeFile } from './tree.ts'

/** What the packages of an edition bring, whatever their form. */
export interface EditionParts {
  readonly edition: Edition
  /** The executable and the manifest that names it. */
  readonly executable: string
  readonly manifest: string
  readonly manPage: string
  /** By their file names: licence, notices, list of modules, bill of materials. */
  readonly papers: ReadonlyMap<string, string>
}

/** Where a package keeps its own, as opposed to what the administrator and the program write. */
const LIBRARY = 'usr/lib/sallyport'

/** `sallyport-agent` or `sallyport-relay`: the package, its unit, its user. */
export function packageName({ name }: Pick<Edition, 'name'>): string {
  return `sallyport-${name}`
}

/** The package that has a program of the same name. */
export function otherPackage({ name }: Edition): string {
  return packageName({ name: name === 'agent' ? 'relay' : 'agent' })
}

/** The files of a package for a Linux system with systemd, except what its form asks for. */
export function linuxTree(parts: EditionParts, root: string): TreeFile[] {
  const name = packageName(parts.edition)
  const { unit, sysusers, tmpfiles, more } = serviceFiles(parts.edition, root)
  return [
    { path: `${LIBRARY}/sallyport`, from: parts.executable, mode: 0o755 },
    { path: `${LIBRARY}/${MANIFEST_NAME}`, from: parts.manifest },
    { path: 'usr/bin/sallyport', link: '../lib/sallyport/sallyport' },
    { path: `usr/lib/systemd/system/${name}.service`, content: unit },
    { path: `usr/lib/sysusers.d/${name}.conf`, content: sysusers },
    { path: `usr/lib/tmpfiles.d/${name}.conf`, content: tmpfiles },
    { path: 'usr/share/man/man1/sallyport.1.gz', content: gzipSync(parts.manPage, { level: 9 }) },
    ...[...parts.papers].map(([file, content]) => ({ path: `usr/share/doc/${name}/${file}`, content })),
    ...more,
  ]
}

function serviceFiles({ name }: Edition, root: string) {
  const read = (path: string) => readFileSync(join(root, 'packaging', path), 'utf8')
  if (name === 'agent') {
    return { unit: serviceUnit(), sysusers: sysusersFile(), tmpfiles: tmpfilesFile(), more: [] }
  }
  return {
    unit: read('systemd/sallyport-relay.service'),
    sysusers: read('relay/sysusers.conf'),
    tmpfiles: read('relay/tmpfiles.conf'),
    more: [{ path: 'etc/sallyport/relay/options', content: read('relay/options') }],
  }
}

/** A template of packaging/ with the words of an edition in the places of `@WORD@`. */
export function fillTemplate(template: string, edition: Edition, more: Record<string, string> = {}): string {
  const name = packageName(edition)
  const words: Record<string, string> = {
    PACKAGE: name,
    UNIT: `${name}.service`,
    UNIT_DROPINS: `/etc/systemd/system/${name}.service.d`,
    DATA: `/var/lib/sallyport/${edition.name}`,
    ETC: `/etc/sallyport/${edition.name}`,
    SUMMARY: edition.summary,
    CONFLICTS: otherPackage(edition),
    // A relay needs its name first; an agent waits for its join string by itself.
    ENABLE: String(edition.name === 'agent'),
    ...more,
  }
  return template.replace(/@([A-Z_]+)@/g, (mark, word: string) => {
    const text = words[word]
    if (text === undefined) throw new Error(`nothing is known for ${mark}`)
    return text
  })
}
