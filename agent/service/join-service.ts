import { existsSync } from 'node:fs'
import { TunnelError } from '../../shared/errors.ts'
import { actAsOwner } from './owner.ts'
import { ownProgram } from './program.ts'
import { prepareService, serviceData, windowsMachine } from './service-command.ts'
import { holdStarter } from './starter.ts'
import { isSystemdBooted } from './systemd.ts'
import { startWindowsService, wrapperPath } from './windows.ts'

/**
 * Whether joining ends with a running service unless a flag says otherwise: where root joins on a machine that systemd runs, or
 * anybody on Windows with what the package installed, and the data directory is the service's own.
 */
export function serviceByDefault(data: string): boolean {
  if (data !== serviceData()) return false
  if (process.platform === 'win32') return existsSync(wrapperPath(ownProgram()))
  return process.getuid?.() === 0 && isSystemdBooted()
}

/** A service that needs only an identity. */
export interface PreparedService {
  /** What a person should know of it, a line each. */
  readonly notes: readonly string[]
  /** Starts it, with the rights that this process had before. @throws {TunnelError} SERVICE */
  start(): Promise<void>
}

/**
 * Makes the service before a token is spent for it. On Linux this process is the user of the service from then on: what it
 * writes belongs to the service, and what a relay sends is not read by root.
 * @throws {TunnelError} USAGE, SERVICE, PERMISSIONS, CONFIG
 */
export async function prepareJoin(data: string, signal: AbortSignal): Promise<PreparedService> {
  if (data !== serviceData()) {
    throw new TunnelError('USAGE', `The service keeps its data in ${serviceData()}.`, {
      next: 'leave --data out, or --service',
    })
  }
  const notes = await prepareService(signal)
  if (process.platform === 'win32') return { notes, start: () => startWindowsService(windowsMachine(signal)) }
  const starter = holdStarter(signal)
  await actAsOwner(data)
  return { notes, start: () => starter.start() }
}
