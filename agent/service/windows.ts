import { existsSync } from 'node:fs'
import { mkdir, rm } from 'node:fs/promises'
import { win32 } from 'node:path'
import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { WINDOWS } from './names.ts'
import type { Tool } from './tool.ts'

/** A Windows machine as these commands see it. */
export interface WindowsMachine {
  readonly tool: Tool
  /** The words that start `sallyport`. */
  readonly program: readonly string[]
  readonly data: string
  /** `%SystemRoot%`. */
  readonly systemRoot: string
  readonly signal: AbortSignal
}

const EVENT_SOURCE = `HKLM\\SYSTEM\\CurrentControlSet\\Services\\EventLog\\Application\\${WINDOWS.service}`
/** Restarts after 5 s, 30 s and then every 5 minutes; a day without a failure starts anew. */
const FAILURE_ACTIONS = 'restart/5000/restart/30000/restart/300000'
const DAY_S = '86400'

/** `SYSTEM` and the administrators by their numbers, which every language of Windows has (well-known SIDs). */
const SYSTEM_SID = '*S-1-5-18'
const ADMINISTRATORS_SID = '*S-1-5-32-544'

/** Where the wrapper lies: beside the program. */
export function wrapperPath(program: readonly string[]): string {
  return win32.join(win32.dirname(program[0] ?? ''), WINDOWS.wrapper)
}

/** The command line that the service control manager starts, each word in quotes: C:\Program Files has a space (CWE-428). */
export function imagePath(program: readonly string[], data: string): string {
  const words = [wrapperPath(program), ...program, 'agent', 'run', '--stop-with-input', '--data', data]
  return [...words, '--log-file', win32.join(data, 'agent.log')].map(quoteWindows).join(' ')
}

/** One call of a tool of Windows. */
export interface InstallStep {
  readonly file: string
  readonly args: readonly string[]
  /** True where the service is no good without it; what fails of the others is told. */
  readonly isVital: boolean
}

/**
 * The calls that make the service, in order. The account is a virtual one, so there is no password; its privileges are
 * stripped to the one that every program needs; the data directory is for it, SYSTEM and the administrators alone.
 */
export function installSteps({
  program,
  data,
  systemRoot,
}: Omit<WindowsMachine, 'tool' | 'signal'>): InstallStep[] {
  const { service, account, displayName } = WINDOWS
  const call = (isVital: boolean, name: string, ...args: string[]): InstallStep => ({
    file: win32.join(systemRoot, 'System32', name),
    args,
    isVital,
  })
  const messages = win32.join(systemRoot, 'System32', 'EventCreate.exe')
  const full = '(OI)(CI)F'
  const image = ['binPath=', imagePath(program, data), 'obj=', account]
  const manner = ['start=', 'delayed-auto', 'DisplayName=', displayName]
  const source = ['EventMessageFile', '/t', 'REG_EXPAND_SZ', '/d', messages, '/f']
  const who = [SYSTEM_SID, ADMINISTRATORS_SID, account].map((name) => `${name}:${full}`)
  return [
    call(true, 'sc.exe', 'create', service, ...image, ...manner),
    // After the service, because the account comes with it; before it starts, because a key will lie there.
    call(true, 'icacls.exe', data, '/inheritance:r', '/grant:r', ...who),
    call(false, 'sc.exe', 'failure', service, 'reset=', DAY_S, 'actions=', FAILURE_ACTIONS),
    call(false, 'sc.exe', 'failureflag', service, '1'),
    call(false, 'sc.exe', 'privs', service, 'SeChangeNotifyPrivilege'),
    call(false, 'reg.exe', 'add', EVENT_SOURCE, '/v', ...source),
    call(false, 'reg.exe', 'add', EVENT_SOURCE, '/v', 'TypesSupported', '/t', 'REG_DWORD', '/d', '7', '/f'),
  ]
}

/**
 * Makes the service and its private directory; does not start it.
 * @returns what could not be done and is not vital, a line each
 * @throws {TunnelError} SERVICE, CONFIG
 */
export async function prepareWindowsService(
  machine: WindowsMachine,
  hasFile = existsSync,
): Promise<string[]> {
  const { tool, program, data, signal } = machine
  const wrapper = wrapperPath(program)
  if (!hasFile(wrapper)) {
    throw new TunnelError('CONFIG', `There is no ${wrapper}.`, { next: 'install the package for Windows' })
  }
  await mkdir(data, { recursive: true })
  const isThere = await hasService(machine)
  const undone: string[] = []
  for (const { file, args, isVital } of installSteps(machine)) {
    // A service that is there keeps its place among those that depend on it.
    const real = isThere && args[0] === 'create' ? ['config', ...args.slice(1)] : args
    await tool(file, real, signal).catch((err: unknown) => {
      if (isVital || !isTunnelError(err)) throw err
      undone.push(`not done: ${err.detail}`)
    })
  }
  return undone
}

/** Starts the service, or starts it again. */
export async function startWindowsService(machine: WindowsMachine): Promise<void> {
  const { tool, systemRoot, signal } = machine
  const net = win32.join(systemRoot, 'System32', 'net.exe')
  // "net" waits until it has stopped, which "sc" does not.
  if (await isRunning(machine)) await tool(net, ['stop', WINDOWS.service], signal)
  await tool(net, ['start', WINDOWS.service], signal)
}

/** Stops and deletes the service. `purge` takes the identity, the rules and the log as well. */
export async function removeWindowsService(
  machine: WindowsMachine,
  purge: boolean,
): Promise<{ removed: string[]; left: string[] }> {
  const { tool, systemRoot, data, signal } = machine
  const system = (name: string) => win32.join(systemRoot, 'System32', name)
  const removed: string[] = []
  if (await hasService(machine)) {
    if (await isRunning(machine)) await tool(system('net.exe'), ['stop', WINDOWS.service], signal)
    await tool(system('sc.exe'), ['delete', WINDOWS.service], signal)
    removed.push(`the service ${WINDOWS.service}`)
  }
  await tool(system('reg.exe'), ['delete', EVENT_SOURCE, '/f'], signal).catch(() => undefined)
  if (purge && existsSync(data)) {
    await rm(data, { recursive: true })
    removed.push(data)
  }
  return { removed, left: [data, wrapperPath(machine.program)].filter((path) => existsSync(path)) }
}

/** What the service control manager says, as it says it; undefined where it has no such service. */
export async function queryWindowsService({
  tool,
  systemRoot,
  signal,
}: WindowsMachine): Promise<string | undefined> {
  const sc = win32.join(systemRoot, 'System32', 'sc.exe')
  return tool(sc, ['query', WINDOWS.service], signal).catch(() => undefined)
}

/** 4 is SERVICE_RUNNING; the words beside it are in the language of the machine. */
async function isRunning(machine: WindowsMachine): Promise<boolean> {
  return /: 4\b/.test((await queryWindowsService(machine)) ?? '')
}

async function hasService(machine: WindowsMachine): Promise<boolean> {
  return (await queryWindowsService(machine)) !== undefined
}

/** One word so that the C runtime reads it back (backslashes before a quote are doubled). */
function quoteWindows(word: string): string {
  return `"${word.replace(/(\\*)"/g, '$1$1\\"').replace(/(\\+)$/, '$1$1')}"`
}
