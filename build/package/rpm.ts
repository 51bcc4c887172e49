import { readFileSync } from 'node:fs'
import { copyFile, mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type LinuxPackageOptions, systemVersion } from './deb.ts'
import { fillTemplate, linuxTree, packageName } from './linux-tree.ts'
import { runTool } from './tool.ts'
import { writeTree } from './tree.ts'

/** Makes an .rpm. @returns its name in `out` */
export async function makeRpm(options: LinuxPackageOptions): Promise<string> {
  const { parts, platform, version, epoch, root, work, out } = options
  const name = packageName(parts.edition)
  const base = join(work, `${name}-${platform.name}-rpm`)
  const tree = join(base, 'tree')
  const license = { path: `usr/share/licenses/${name}/LICENSE`, from: join(root, 'LICENSE') }
  const files = [...linuxTree(parts, root), license]
  await writeTree(tree, files, epoch)
  const list = files.map(({ path }) => `${path.startsWith('etc/') ? '%config(noreplace) ' : ''}/${path}`)
  await writeFile(join(base, 'files'), `%dir /usr/lib/sallyport\n${list.join('\n')}\n`)
  const template = readFileSync(join(root, 'packaging/rpm/sallyport.spec'), 'utf8')
  const spec = fillTemplate(template, parts.edition, {
    VERSION: systemVersion(version),
    DESCRIPTION: parts.edition.description.map((line) => (line === '.' ? '' : line)).join('\n'),
    TREE: tree,
    FILES: join(base, 'files'),
  })
  await writeFile(join(base, 'sallyport.spec'), spec)
  await runTool(
    'rpmbuild',
    ['-bb', '--target', `${platform.rpm}-linux`, ...defines(base), join(base, 'sallyport.spec')],
    {
      env: { SOURCE_DATE_EPOCH: String(epoch) },
    },
  )
  const file = `${name}-${systemVersion(version)}-1.${platform.rpm}.rpm`
  await mkdir(out, { recursive: true })
  await copyFile(join(base, 'RPMS', platform.rpm ?? '', file), join(out, file))
  return file
}

/** Away from the builder's home, and without what would tell one builder from another. */
function defines(base: string): string[] {
  const values = {
    _topdir: base,
    _buildhost: 'localhost',
    use_source_date_epoch_as_buildtime: '1',
    clamp_mtime_to_source_date_epoch: '1',
    // Not the paths that Debian's rpm would choose.
    _rpmfilename: '%%{ARCH}/%%{NAME}-%%{VERSION}-%%{RELEASE}.%%{ARCH}.rpm',
  }
  return Object.entries(values).flatMap(([name, value]) => ['--define', `${name} ${value}`])
}
