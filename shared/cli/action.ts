import { type Effects, realEffects } from '../effects.ts'
import { EXIT, TunnelError } from '../errors.ts'
import { createOutput, type Output } from './output.ts'
import { realTerminal, type Terminal } from './terminal.ts'

/** How long what a finished command left open may keep the process; then it ends all the same. */
const LINGER_MS = 2000

/** What an action works with. */
export interface ActionContext {
  /** Aborts at the first SIGINT, SIGTERM or SIGHUP; its reason is a TunnelError CANCELLED. */
  readonly signal: AbortSignal
  readonly output: Output
  readonly terminal: Terminal
}

/** The part of commander's Command that is read here: the options of the command and of those above it. */
interface OptionSource {
  optsWithGlobals(): Record<string, unknown>
}

export interface ActionSurroundings {
  readonly terminal?: Terminal
  readonly effects?: Pick<Effects, 'now' | 'after'>
}

/**
 * Wraps a command's work for commander's `.action()`. The first signal to end aborts, the second ends the process
 * at once with status 130. A failure is told, and decides the exit status; an action that returns has status 0.
 * `--json` is taken from the command itself.
 */
export function runAction<A extends unknown[]>(
  action: (context: ActionContext, ...args: A) => Promise<void>,
  { terminal = realTerminal, effects = realEffects }: ActionSurroundings = {},
): (...args: A) => Promise<void> {
  return async (...args) => {
    const { stdout, stderr, interactive, debug } = terminal
    const output = createOutput({ json: wantsJson(args), stdout, stderr, interactive, debug, effects })
    const controller = new AbortController()
    const stopListening = terminal.onEndSignal((signal) => {
      if (controller.signal.aborted) terminal.exit(EXIT.interrupted)
      controller.abort(new TunnelError('CANCELLED', `${signal} received.`, { leg: 'local' }))
    })
    let status: number = EXIT.ok
    try {
      await action({ signal: controller.signal, output, terminal }, ...args)
    } catch (error) {
      status = output.fail(isAbort(error) && controller.signal.aborted ? controller.signal.reason : error)
    }
    stopListening()
    terminal.setExitStatus(status)
    effects.after(LINGER_MS, () => terminal.exit(status))
  }
}

/** Commander hands its Command to the action as the last argument. */
function wantsJson(args: readonly unknown[]): boolean {
  const command = args.at(-1)
  if (typeof command !== 'object' || command === null || !('optsWithGlobals' in command)) return false
  return (command as OptionSource).optsWithGlobals().json === true
}

function isAbort(error: unknown): boolean {
  return error instanceof Error && error.name === 'AbortError'
}
