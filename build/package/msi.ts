import { join } from 'node:path'
import { uuidOf } from './sbom.ts'
import { runTool } from './tool.ts'
import { type TreeFile, writeTree } from './tree.ts'

export interface MsiOptions {
  readonly version: string
  /** `sallyport.exe`, the wrapper and the papers, by the names that the .wxs has. */
  readonly files: readonly TreeFile[]
  /** Seconds since 1970. */
  readonly epoch: number
  readonly root: string
  readonly work: string
  readonly out: string
}

/**
 * What wixl cannot say: the program's directory becomes part of the search path of the system. The columns and the marks
 * `=-*` (set, remove at the end, of the system) are those of Windows Installer's Environment table.
 */
const SEARCH_PATH = [
  'CREATE TABLE `Environment` (`Environment` CHAR(72) NOT NULL, `Name` CHAR(255) NOT NULL LOCALIZABLE, ' +
    '`Value` CHAR(255) LOCALIZABLE, `Component_` CHAR(72) NOT NULL PRIMARY KEY `Environment`)',
  'INSERT INTO `Environment` (`Environment`, `Name`, `Value`, `Component_`) ' +
    "VALUES ('Path', '=-*PATH', '[~];[INSTALLDIR]', 'SearchPath')",
  "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('WriteEnvironmentStrings', 5200)",
  "INSERT INTO `InstallExecuteSequence` (`Action`, `Sequence`) VALUES ('RemoveEnvironmentStrings', 3300)",
]

/** Makes the installer for Windows, not yet signed. @returns its name in `out` */
export async function makeMsi({ version, files, epoch, root, work, out }: MsiOptions): Promise<string> {
  const tree = join(work, 'msi')
  await writeTree(tree, files, epoch)
  const file = `sallyport-agent_${version}_win-x64.msi`
  const path = join(out, file)
  // Windows Installer counts three numbers; what comes behind them is no part of its order.
  const numbers = version.replace(/-.*$/, '')
  const code = (purpose: string) => uuidOf(`sallyport msi ${purpose} ${version} ${epoch}`).toUpperCase()
  const defines = { ProductCode: code('product'), PackageCode: code('package'), Version: numbers }
  const time = new Date(epoch * 1_000).toISOString().slice(0, 19).replace('T', ' ')
  // wixl writes the time of day into the package and makes up its number: both are given here.
  await runTool(
    'faketime',
    [
      ...['-f', time, 'wixl', '--arch', 'x64', '--output', path],
      ...Object.entries(defines).flatMap(([name, value]) => ['-D', `${name}=${value}`]),
      join(root, 'packaging/windows/sallyport-agent.wxs'),
    ],
    { cwd: tree },
  )
  const summary = [`Sallyport agent ${version}`, 'Sallyport', 'x64;1033', `{${defines.PackageCode}}`]
  await runTool('msibuild', [path, '-s', ...summary])
  for (const query of SEARCH_PATH) await runTool('msibuild', [path, '-q', query])
  return file
}
