import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Settings } from './settings.ts'
import { hasTool } from './tool.ts'

/** A program that the build starts, and the Debian package that brings it. */
interface Requirement {
  readonly program: string
  readonly package: string
  readonly system: 'linux' | 'win'
}

const REQUIREMENTS: readonly Requirement[] = [
  { program: 'dpkg-deb', package: 'dpkg', system: 'linux' },
  { program: 'rpmbuild', package: 'rpm', system: 'linux' },
  { program: 'osslsigncode', package: 'osslsigncode', system: 'win' },
  { program: 'x86_64-w64-mingw32-gcc', package: 'gcc-mingw-w64-x86-64', system: 'win' },
  { program: 'wixl', package: 'wixl', system: 'win' },
  { program: 'msibuild', package: 'msitools', system: 'win' },
  { program: 'faketime', package: 'faketime', system: 'win' },
]

/** The source of the program that Windows starts as the service. */
export const WRAPPER_SOURCE = 'packaging/windows/service-wrapper.c'

/** @throws {Error} naming all that is missing at once, as one command where there is one */
export async function checkRequirements({ platforms, root }: Settings): Promise<void> {
  const missing: string[] = []
  for (const { program, package: name, system } of REQUIREMENTS) {
    const isNeeded = platforms.some((platform) => platform.name.startsWith(system))
    if (isNeeded && !(await hasTool(program))) missing.push(name)
  }
  if (missing.length > 0) {
    throw new Error(
      `Programs are missing: apt-get install --no-install-recommends ${missing.join(' ')}\n` +
        'Without them, choose what is to be built: npm run package -- --platform linux-x64',
    )
  }
  const isForWindows = platforms.some(({ name }) => name === 'win-x64')
  if (isForWindows && !existsSync(join(root, WRAPPER_SOURCE)))
    throw new Error(`There is no ${WRAPPER_SOURCE}`)
}
