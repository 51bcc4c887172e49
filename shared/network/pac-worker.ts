import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads'
import quickjs from '@jitl/quickjs-singlefile-cjs-release-sync'
import {
  newQuickJSWASMModuleFromVariant,
  newVariant,
  type QuickJSContext,
  type QuickJSHandle,
} from 'quickjs-emscripten-core'
import { PAC_FUNCTIONS } from './pac-functions.ts'

/**
 * The thread in which one PAC file runs once: inside it QuickJS as WebAssembly, which has neither files nor sockets nor
 * anything of Node. Whoever started the thread ends it; here nothing watches the clock.
 */

/** What the thread is started with. */
export interface PacWorkerData {
  readonly script: string
  readonly url: string
  readonly host: string
  /** This machine's own address. */
  readonly address: string
  /** Carries {@link PacMessage} out and addresses in. */
  readonly port: MessagePort
  /** Four bytes: not 0 once an address was sent. */
  readonly gate: SharedArrayBuffer
}

/** What comes out: a name to resolve, or the end. */
export type PacMessage =
  | { readonly kind: 'name'; readonly name: string }
  | { readonly kind: 'answer'; readonly answer: string }
  | { readonly kind: 'failed'; readonly why: string }

/** WebAssembly pages of 64 KiB: what the engine begins with, and the 64 MiB that it never gets beyond. */
const PAGES = { initial: 256, maximum: 1_024 }

/** QuickJS's own limit does not count the bytes of strings in this build; the memory of the module is what holds. */
const STACK_BYTES = 262_144

type EngineMemory = NonNullable<Parameters<typeof newVariant>[1]['wasmMemory']>

/** Node's types do not have it as a value. */
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => EngineMemory
}

class PacFault extends Error {}

const given = workerData as PacWorkerData
// Not awaited at the top, which a script for a single executable may not have. A rejection ends the thread with it.
void run(given).then((message) => {
  given.port.postMessage(message)
  given.port.close()
})

async function run(data: PacWorkerData): Promise<PacMessage> {
  const wasmMemory = new WebAssembly.Memory(PAGES)
  const engine = await newQuickJSWASMModuleFromVariant(newVariant(quickjs.default, { wasmMemory }))
  const runtime = engine.newRuntime()
  runtime.setMaxStackSize(STACK_BYTES)
  const context = runtime.newContext()
  try {
    install(context, data)
    take(context, context.evalCode(data.script, 'pac'))
    return { kind: 'answer', answer: ask(context, data) }
  } catch (err) {
    const why = err instanceof PacFault ? err.message : 'It broke the engine that runs it.'
    return { kind: 'failed', why }
  }
}

type Evaluated = ReturnType<QuickJSContext['evalCode']>

function take(context: QuickJSContext, result: Evaluated): QuickJSHandle {
  if (result.error === undefined) return result.value
  const thrown: unknown = context.dump(result.error)
  const { name, message } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as {
    readonly name?: unknown
    readonly message?: unknown
  }
  throw new PacFault(`FindProxyForURL: ${name ?? 'Error'}: ${message ?? ''}.`)
}

function install(context: QuickJSContext, data: PacWorkerData): void {
  const make = take(context, context.evalCode(PAC_FUNCTIONS, 'functions'))
  const resolve = context.newFunction('resolve', (name) => {
    const address = resolveOutside(data, context.getString(name))
    return address === null ? context.null : context.newString(address)
  })
  const address = context.newString(data.address)
  take(context, context.callFunction(make, context.undefined, context.global, resolve, address))
}

/** Asks the thread that started this one, and stands still until it answers. */
function resolveOutside({ port, gate }: PacWorkerData, name: string): string | null {
  const signal = new Int32Array(gate)
  Atomics.store(signal, 0, 0)
  port.postMessage({ kind: 'name', name: name.toLowerCase().slice(0, 255) } satisfies PacMessage)
  Atomics.wait(signal, 0, 0)
  return (receiveMessageOnPort(port)?.message as string | null | undefined) ?? null
}

function ask(context: QuickJSContext, { url, host }: PacWorkerData): string {
  const find = context.getProp(context.global, 'FindProxyForURL')
  if (context.typeof(find) !== 'function') throw new PacFault('It has no FindProxyForURL.')
  const called = context.callFunction(
    find,
    context.undefined,
    context.newString(url),
    context.newString(host),
  )
  const value: unknown = context.dump(take(context, called))
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string') throw new PacFault('FindProxyForURL answers with no text.')
  return value
}
