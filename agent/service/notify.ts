import { execFile } from 'node:child_process'
import { promisify } from 'node:util'

/** How long the service manager may take to hear one message, in ms. */
const NOTIFY_MS = 10_000

/** Tells the service manager something, in the order of the calls. Never rejects. */
export type Notify = (message: readonly string[]) => Promise<void>

export interface NotifyOptions {
  readonly environment: NodeJS.ProcessEnv
  /** Hears of the first message that did not get through, for the log. */
  readonly onFailure: (error: unknown) => void
  /** Stands in for `systemd-notify` in tests. */
  readonly send?: (message: readonly string[]) => Promise<unknown>
}

/** What the service manager asked for in the environment (sd_notify(3), sd_watchdog_enabled(3)). */
export interface NotifyRequest {
  readonly notify: Notify
  /** Most ms between two WATCHDOG=1; undefined where nobody watches. */
  readonly watchdogMs?: number
}

/**
 * The way to the service manager that started this process; undefined where none did. The protocol is a datagram on a unix
 * socket, which Node cannot send, so `systemd-notify` says it; it waits until the manager has read the message.
 */
export function connectNotify(options: NotifyOptions): NotifyRequest | undefined {
  const { environment, onFailure, send = systemdNotify } = options
  if ((environment.NOTIFY_SOCKET ?? '') === '') return undefined
  let last = Promise.resolve()
  let isSilent = false
  const notify: Notify = (message) => {
    last = last.then(async () => {
      await send(message).catch((error: unknown) => {
        if (!isSilent) onFailure(error)
        isSilent = true
      })
    })
    return last
  }
  const watchdogUs = Number(environment.WATCHDOG_USEC)
  return watchdogUs > 0 ? { notify, watchdogMs: watchdogUs / 1_000 } : { notify }
}

const execute = promisify(execFile)

function systemdNotify(message: readonly string[]): Promise<unknown> {
  return execute('systemd-notify', message, { timeout: NOTIFY_MS, windowsHide: true })
}
