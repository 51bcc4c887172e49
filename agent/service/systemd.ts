import { existsSync } from 'node:fs'
import { mkdir, readFile, rm, rmdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { TunnelError } from '../../shared/errors.ts'
import { SYSTEMD } from './names.ts'
import type { Tool } from './tool.ts'
import { serviceUnit, sysusersFile, tmpfilesFile } from './unit.ts'

/** The machine as these commands see it. */
export interface Machine {
  /** Before every path; empty on a real machine. */
  readonly root: string
  readonly isRoot: boolean
  readonly tool: Tool
  readonly program: readonly string[]
  readonly signal: AbortSignal
}

const UNIT_PATH = join(SYSTEMD.localUnits, SYSTEMD.unit)
const SYSUSERS_PATH = '/etc/sysusers.d/sallyport-agent.conf'
const TMPFILES_PATH = '/etc/tmpfiles.d/sallyport-agent.conf'
const DROP_IN_DIRECTORY = `${UNIT_PATH}.d`
export const IP_ALLOW_PATH = join(DROP_IN_DIRECTORY, '20-ip-allow.conf')

/** True where systemd runs this machine (sd_booted(3)). */
export function isSystemdBooted(root = ''): boolean {
  return existsSync(`${root}/run/systemd/system`)
}

/** Where a package has put the unit; undefined where none has. */
export function packagedUnit(root: string): string | undefined {
  return SYSTEMD.packagedUnits
    .map((directory) => join(directory, SYSTEMD.unit))
    .find((path) => existsSync(`${root}${path}`))
}

/** What installing writes, by path: nothing where a package has brought it all. */
export function filesToInstall({ root, program }: Pick<Machine, 'root' | 'program'>): Map<string, string> {
  if (packagedUnit(root) !== undefined) return new Map()
  return new Map([
    [UNIT_PATH, serviceUnit(program)],
    [SYSUSERS_PATH, sysusersFile()],
    [TMPFILES_PATH, tmpfilesFile()],
  ])
}

/**
 * Makes all that the service needs but an identity: its user, its directories, its unit. Does not start it.
 * @returns the paths that were written
 * @throws {TunnelError} SERVICE where there is no systemd or it refuses; PERMISSIONS
 */
export async function prepareUnit(machine: Machine): Promise<string[]> {
  checkMachine(machine)
  const { root, tool, signal } = machine
  const files = filesToInstall(machine)
  for (const [path, text] of files) await writeSystemFile(`${root}${path}`, text)
  if (files.size > 0) {
    await tool('systemd-sysusers', [SYSUSERS_PATH], signal)
    await tool('systemd-tmpfiles', ['--create', TMPFILES_PATH], signal)
  }
  const { data, user } = SYSTEMD
  // Where it is there already, and another user's, systemd hands it over with all that is in it (StateDirectory=).
  if (!existsSync(`${root}${data}`)) {
    await tool('install', ['-d', '-m', '0700', '-o', user, '-g', user, `${root}${data}`], signal)
  }
  await tool('systemctl', ['daemon-reload'], signal)
  return [...files.keys()]
}

/** Writes the drop-in that limits the service to some addresses, or takes it away where `text` is undefined. */
export async function writeIpAllow(machine: Machine, text: string | undefined): Promise<void> {
  checkMachine(machine)
  const { root, tool, signal } = machine
  if (text === undefined) await rm(`${root}${IP_ALLOW_PATH}`, { force: true })
  else await writeSystemFile(`${root}${IP_ALLOW_PATH}`, text)
  await tool('systemctl', ['daemon-reload'], signal)
}

/** Starts the service now and at every boot. */
export async function startUnit({ tool, signal }: Machine): Promise<void> {
  await tool('systemctl', ['enable', SYSTEMD.unit], signal)
  await tool('systemctl', ['restart', SYSTEMD.unit], signal)
}

/** What is gone after {@link removeUnit}, and what is still there. */
export interface Removal {
  readonly removed: readonly string[]
  readonly left: readonly string[]
}

/**
 * Stops the service and takes away what {@link prepareUnit} and {@link writeIpAllow} made. `purge` takes the identity, the
 * rules and the user as well. What a package brought stays until the package goes.
 */
export async function removeUnit(machine: Machine, purge: boolean): Promise<Removal> {
  checkMachine(machine)
  const { root, tool, signal } = machine
  const packaged = packagedUnit(root)
  if (packaged !== undefined || existsSync(`${root}${UNIT_PATH}`)) {
    await tool('systemctl', ['disable', '--now', SYSTEMD.unit], signal)
  }
  const removed: string[] = []
  const take = async (path: string) => {
    if (!existsSync(`${root}${path}`)) return
    await rm(`${root}${path}`, { recursive: true })
    removed.push(path)
  }
  for (const path of [IP_ALLOW_PATH, UNIT_PATH, SYSUSERS_PATH, TMPFILES_PATH]) await take(path)
  // What an administrator added beside it is not ours to remove.
  await rmdir(`${root}${DROP_IN_DIRECTORY}`).catch(() => undefined)
  await tool('systemctl', ['daemon-reload'], signal)
  if (purge) await purgeState(machine, take)
  const left = [packaged, SYSTEMD.data, dirname(SYSTEMD.joinFile), DROP_IN_DIRECTORY].filter(
    (path) => path !== undefined && existsSync(`${root}${path}`),
  ) as string[]
  if (!purge) left.push(`the user ${SYSTEMD.user}`)
  return { removed, left }
}

async function purgeState(machine: Machine, take: (path: string) => Promise<void>): Promise<void> {
  await take(SYSTEMD.data)
  await take(dirname(SYSTEMD.joinFile))
  // Others of Sallyport may live beside it.
  for (const parent of [dirname(SYSTEMD.data), dirname(dirname(SYSTEMD.joinFile))]) {
    await rmdir(`${machine.root}${parent}`).catch(() => undefined)
  }
  if (packagedUnit(machine.root) === undefined) {
    await machine.tool('userdel', [SYSTEMD.user], machine.signal).catch(() => undefined)
  }
}

/** What systemd says of the service: its properties by name. */
export async function unitProperties(
  machine: Machine,
  names: readonly string[],
): Promise<Map<string, string>> {
  const { tool, signal } = machine
  const printed = await tool('systemctl', ['show', SYSTEMD.unit, `--property=${names.join(',')}`], signal)
  const pairs = printed.split('\n').map((line): [string, string] => {
    const at = line.indexOf('=')
    return [line.slice(0, Math.max(at, 0)), line.slice(at + 1)]
  })
  return new Map(pairs)
}

/** @throws {TunnelError} SERVICE, PERMISSIONS */
function checkMachine({ root, isRoot }: Machine): void {
  if (!isSystemdBooted(root)) {
    throw new TunnelError('SERVICE', 'This machine was not started by systemd.', {
      next: 'start the agent your own way: sallyport agent run; in a container: --join-file FILE',
    })
  }
  if (!isRoot)
    throw new TunnelError('PERMISSIONS', 'Only root can change services.', { next: 'sudo the same' })
}

async function writeSystemFile(path: string, text: string): Promise<void> {
  const before = await readFile(path, 'utf8').catch(() => undefined)
  if (before === text) return
  await mkdir(dirname(path), { recursive: true, mode: 0o755 })
  await writeFile(path, text, { mode: 0o644 })
}
