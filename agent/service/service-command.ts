import type { Output } from '../../shared/cli/output.ts'
import { defaultDataDirectory } from '../../shared/config/data-directory.ts'
import { TunnelError } from '../../shared/errors.ts'
import { ipAllowDropIn } from './ip-allow.ts'
import { SYSTEMD, WINDOWS } from './names.ts'
import { checkProgram, ownProgram } from './program.ts'
import { readReach, systemLookUp } from './reach.ts'
import {
  filesToInstall,
  IP_ALLOW_PATH,
  type Machine,
  packagedUnit,
  prepareUnit,
  removeUnit,
  startUnit,
  unitProperties,
  writeIpAllow,
} from './systemd.ts'
import { realTool } from './tool.ts'
import {
  prepareWindowsService,
  queryWindowsService,
  removeWindowsService,
  startWindowsService,
  type WindowsMachine,
} from './windows.ts'

interface Context {
  readonly signal: AbortSignal
  readonly output: Output
}

/** This machine, for systemd. */
function linuxMachine(signal: AbortSignal): Machine {
  return { root: '', isRoot: process.getuid?.() === 0, tool: realTool, program: ownProgram(), signal }
}

/** This machine, for the services of Windows. */
export function windowsMachine(signal: AbortSignal): WindowsMachine {
  const data = defaultDataDirectory('agent', process.env, true)
  const systemRoot = process.env.SystemRoot ?? 'C:\\Windows'
  return { tool: realTool, program: ownProgram(), data, systemRoot, signal }
}

/** The directory that the service keeps its data in. */
export function serviceData(): string {
  return process.platform === 'win32' ? defaultDataDirectory('agent', process.env, true) : SYSTEMD.data
}

/**
 * Makes the service, so that it needs only an identity.
 * @returns what a person should know of it, a line each
 * @throws {TunnelError} SERVICE, PERMISSIONS, CONFIG
 */
export async function prepareService(signal: AbortSignal): Promise<string[]> {
  if (process.platform === 'win32') return prepareWindowsService(windowsMachine(signal))
  const machine = linuxMachine(signal)
  if (packagedUnit('') === undefined) checkProgram(machine.program)
  return (await prepareUnit(machine)).map((path) => `wrote ${path}`)
}

/** `sallyport agent service install`. */
export async function installService(
  options: Context & { readonly ipAllow?: boolean; readonly print?: boolean },
): Promise<void> {
  const { ipAllow, print, signal, output } = options
  if (print === true) {
    for (const [path, text] of filesToInstall(linuxMachine(signal))) {
      output.result({ path, text }, [`# ${path}`, ...text.trimEnd().split('\n'), ''])
    }
    return
  }
  if (process.platform === 'win32' && ipAllow !== undefined) {
    throw new TunnelError('USAGE', '--ip-allow is for systemd; on Windows use its firewall.')
  }
  const notes = await prepareService(signal)
  if (ipAllow !== undefined) await limitAddresses(ipAllow, options)
  output.result({ service: serviceName(), notes }, [
    `the service ${serviceName()} is there`,
    ...notes.map((line) => `  ${line}`),
    'next: sallyport agent join --join-file FILE; where it has joined: sallyport agent service restart',
  ])
}

async function limitAddresses(isOn: boolean, { signal, output }: Context): Promise<void> {
  const machine = linuxMachine(signal)
  if (!isOn) {
    await writeIpAllow(machine, undefined)
    output.note('the service may reach any address again, as far as its rules go, from its next start on')
    return
  }
  const { text, unknown } = await ipAllowDropIn(await readReach(SYSTEMD.data), systemLookUp)
  await writeIpAllow(machine, text)
  output.note(`wrote ${IP_ALLOW_PATH}; it holds from the next start of the service on`)
  for (const host of unknown)
    output.note(`no address known for ${host}: it cannot be reached until this is run again`)
}

/** `sallyport agent service uninstall`. */
export async function uninstallService({
  purge,
  signal,
  output,
}: Context & { purge: boolean }): Promise<void> {
  const { removed, left } =
    process.platform === 'win32'
      ? await removeWindowsService(windowsMachine(signal), purge)
      : await removeUnit(linuxMachine(signal), purge)
  const hint =
    purge || left.length === 0
      ? []
      : ['identity and rules go with --purge, a package with its package manager']
  output.result({ removed, left }, [
    'the service is stopped and does not start again',
    ...removed.map((path) => `  removed  ${path}`),
    ...left.map((path) => `  left     ${path}`),
    ...hint,
    'the relay still knows this agent; to end its identity: sallyport relay revoke agent SITE',
  ])
}

/** `sallyport agent service restart`. */
export async function restartService({ signal, output }: Context): Promise<void> {
  if (process.platform === 'win32') await startWindowsService(windowsMachine(signal))
  else await startUnit(linuxMachine(signal))
  output.result({ service: serviceName(), event: 'restarted' }, `the service ${serviceName()} runs`)
}

const SHOWN = [
  'LoadState',
  'ActiveState',
  'SubState',
  'StatusText',
  'MainPID',
  'NRestarts',
  'Result',
  'FragmentPath',
]

/** `sallyport agent service status`. */
export async function serviceStatus({ signal, output }: Context): Promise<void> {
  if (process.platform === 'win32') {
    const text = await queryWindowsService(windowsMachine(signal))
    if (text === undefined) throw noService()
    output.result({ service: WINDOWS.service, state: text.trim() }, text.trim().split(/\r?\n/))
    return
  }
  const found = await unitProperties(linuxMachine(signal), SHOWN)
  if (found.get('LoadState') !== 'loaded') throw noService()
  const { ActiveState, SubState, StatusText, MainPID, NRestarts, Result, FragmentPath } =
    Object.fromEntries(found)
  output.result(
    {
      service: SYSTEMD.unit,
      state: ActiveState,
      detail: SubState,
      says: StatusText,
      restarts: Number(NRestarts),
    },
    [
      `${SYSTEMD.unit}: ${ActiveState} (${SubState})${StatusText === '' ? '' : `, ${StatusText}`}`,
      `process ${MainPID}, restarts ${NRestarts}, last result ${Result}`,
      `unit ${FragmentPath}`,
    ],
  )
}

function noService(): TunnelError {
  return new TunnelError('SERVICE', 'There is no service of the agent on this machine.', {
    next: 'sallyport agent service install',
  })
}

function serviceName(): string {
  return process.platform === 'win32' ? WINDOWS.service : SYSTEMD.unit
}
