import { MessageChannel, type MessagePort, type Worker } from 'node:worker_threads'
import type { Effects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import { startThread } from '../thread.ts'
import type { PacMessage, PacWorkerData } from './pac-worker.ts'
import { printable } from './proxy-answer.ts'

/** What one run of a PAC file may use; memory is limited in pac-worker.ts. */
export const PAC_LIMITS = {
  /** Bytes of the file. */
  scriptBytes: 1_048_576,
  /** For one run with all names that it asks for, in ms. */
  runMs: 4_000,
  /** Names that a file may ask for. */
  names: 32,
} as const

/** The asset of a single executable that holds pac-worker.ts with all that it imports, as one CommonJS script. */
export const PAC_WORKER_ASSET = 'pac-worker.js'

export interface PacQuery {
  readonly script: string
  /** Only scheme, host and port of what is to be reached. */
  readonly url: string
  readonly host: string
}

export interface PacSurroundings {
  /** The IPv4 address of a name, or null where it has none. */
  readonly resolve: (name: string) => Promise<string | null>
  /** This machine's own address. */
  readonly address: string
  readonly effects: Pick<Effects, 'after'>
  readonly signal: AbortSignal
}

/**
 * Runs FindProxyForURL of a PAC file. The file is code from the network: it runs in an interpreter without any access, in
 * a thread of its own, which is ended when it takes too long, so this thread never waits for it.
 *
 * @returns what it answered, as text
 * @throws {TunnelError} PAC where it fails, takes too long or too much, or answers with something else
 */
export async function runPac(
  { script, url, host }: PacQuery,
  surroundings: PacSurroundings,
): Promise<string> {
  if (Buffer.byteLength(script) > PAC_LIMITS.scriptBytes) throw new TunnelError('PAC', 'It is too long.')
  const { port1: port, port2 } = new MessageChannel()
  const gate = new SharedArrayBuffer(4)
  const data: PacWorkerData = { script, url, host, address: surroundings.address, port: port2, gate }
  const worker = startWorker(data, port2)
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  const tooLate = () => reject(new TunnelError('PAC', `It ran for more than ${PAC_LIMITS.runMs} ms.`))
  const cancel = surroundings.effects.after(PAC_LIMITS.runMs, tooLate)
  const onAbort = () => reject(surroundings.signal.reason as Error)
  surroundings.signal.addEventListener('abort', onAbort, { once: true })
  worker.once('error', (err) => reject(err))
  port.on('message', answerTo(port, gate, surroundings, { resolve, reject }))
  try {
    surroundings.signal.throwIfAborted()
    return await promise
  } catch (err) {
    surroundings.signal.throwIfAborted()
    throw isTunnelError(err) ? err : new TunnelError('PAC', 'The thread that runs it failed.', { cause: err })
  } finally {
    cancel()
    surroundings.signal.removeEventListener('abort', onAbort)
    port.close()
    await worker.terminate()
  }
}

function startWorker(workerData: PacWorkerData, port: MessagePort): Worker {
  const code = { asset: PAC_WORKER_ASSET, beside: import.meta.url, path: './pac-worker' }
  return startThread(code, {
    workerData,
    transferList: [port],
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 8 },
  })
}

interface Outcome {
  readonly resolve: (answer: string) => void
  readonly reject: (err: Error) => void
}

/** What to do with each message of the thread. */
function answerTo(
  port: MessagePort,
  gate: SharedArrayBuffer,
  { resolve: lookUp }: PacSurroundings,
  { resolve, reject }: Outcome,
): (message: PacMessage) => void {
  const known = new Map<string, Promise<string | null>>()
  return (message) => {
    if (message.kind === 'answer') return resolve(message.answer)
    if (message.kind === 'failed') return reject(new TunnelError('PAC', printable(message.why)))
    const { name } = message
    if (!known.has(name) && known.size === PAC_LIMITS.names) {
      return reject(new TunnelError('PAC', 'It asks for too many names.'))
    }
    const address = known.get(name) ?? lookUp(name)
    known.set(name, address)
    address.then((found) => {
      port.postMessage(found)
      const signal = new Int32Array(gate)
      Atomics.store(signal, 0, 1)
      Atomics.notify(signal, 0)
    }, reject)
  }
}
