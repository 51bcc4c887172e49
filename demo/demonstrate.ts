import { aborted } from '../shared/abort.ts'
import type { Output } from '../shared/cli/output.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import { largeBody, PATHS, smallRequest } from './http-questions.ts'
import { askAgain, askOnce, type Check } from './measure.ts'
import { makeScratch, type Scratch } from './scratch.ts'
import { show } from './show.ts'
import { manyRows, STATEMENTS, serverVersion } from './sql-questions.ts'
import { NAMES, type Services, type Stage, setUp } from './stage.ts'

export interface DemonstrateOptions {
  readonly services: Services
  /** End after the checks instead of staying up. */
  readonly once: boolean
  readonly signal: AbortSignal
  readonly output: Output
}

/**
 * The whole road on this machine: sets it up, sends requests along it, shows what came back and how fast, stays until
 * the signal aborts, and leaves nothing. Where something fails, the logs stay and are named.
 * @throws {TunnelError} where anything does not work or one byte is wrong
 */
export async function demonstrate(options: DemonstrateOptions): Promise<void> {
  await using scratch = await makeScratch()
  try {
    await perform(options, scratch)
  } catch (error) {
    if (options.signal.aborted) throw options.signal.reason
    scratch.keepLogs()
    throw withLogs(error, scratch.logs)
  }
}

async function perform({ services, once, signal, output }: DemonstrateOptions, scratch: Scratch) {
  const stack = new AsyncDisposableStack()
  try {
    const stage = await setUp({ services, scratch, signal, progress: output.progress }, stack)
    const checks = await output.progress('asking through the tunnel', askAll(stage, signal))
    show(output, { stage, checks, stays: !once })
    if (!once) await untilEnd(stage, signal)
  } finally {
    await output.progress('ending what was started', stack.disposeAsync())
  }
}

/** Every question through the tunnel, one after the other so that the times mean something. */
async function askAll(stage: Stage, signal: AbortSignal): Promise<readonly Check[]> {
  const { http, sql, httpForward, sqlForward, published } = stage
  return [
    await askAgain(`GET ${PATHS.small}`, smallRequest(httpForward, signal), smallRequest(http, signal)),
    await askAgain(STATEMENTS.version, serverVersion(sqlForward), serverVersion(sql)),
    await askOnce(`GET ${PATHS.large}`, largeBody(httpForward, signal)),
    await askOnce('select n, md5(...) ...', manyRows(sqlForward)),
    await askOnce(`GET https://${NAMES.host}${PATHS.small}`, smallRequest(published, signal)),
  ]
}

async function untilEnd(stage: Stage, signal: AbortSignal): Promise<void> {
  const error = await Promise.race([aborted(signal), stage.ended])
  if (error !== undefined) throw error
}

function withLogs(error: unknown, logs: string): TunnelError {
  const look = `look at the logs in ${logs}`
  if (!isTunnelError(error)) return new TunnelError('INTERNAL', '', { next: look, cause: error })
  const { code, detail, leg, cause } = error
  const next = code === 'INTERNAL' ? look : `${error.next}; or ${look}`
  return new TunnelError(code, detail, { leg, next, cause })
}
