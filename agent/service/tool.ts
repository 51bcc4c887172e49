import { execFile } from 'node:child_process'
import { TunnelError } from '../../shared/errors.ts'

/** How long one call of a tool of the system may take, in ms: starting a service waits until it is ready. */
const TOOL_MS = 150_000
/** Most bytes that a tool may print. */
const MAX_OUTPUT_BYTES = 1024 * 1024

/** Runs a tool of the system to its end. @returns what it printed. @throws {TunnelError} SERVICE where it failed */
export type Tool = (file: string, args: readonly string[], signal: AbortSignal) => Promise<string>

export const realTool: Tool = (file, args, signal) =>
  new Promise((resolve, reject) => {
    const options = { signal, timeout: TOOL_MS, maxBuffer: MAX_OUTPUT_BYTES, windowsHide: true }
    execFile(file, args, options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout)
      else if (signal.aborted) reject(signal.reason as Error)
      else reject(toolFailure([file, ...args].join(' '), `${stderr}${stdout}`, error))
    })
  })

/** What a person hears of a tool that failed: its first line of complaint. */
export function toolFailure(command: string, printed: string, cause?: unknown): TunnelError {
  const [line = 'it said nothing'] = printed.split('\n').filter((text) => text.trim() !== '')
  return new TunnelError('SERVICE', `${command}: ${line.trim().slice(0, 300)}`, { cause })
}
