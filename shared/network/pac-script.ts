import type { QuickJSContext, QuickJSHandle } from 'quickjs-emscripten-core'
import { TunnelError } from '../errors.ts'
import { PAC_FUNCTIONS } from './pac-functions.ts'
import { printable } from './proxy-answer.ts'

/** What one run of a PAC file may use. The time also counts inside a regular expression. */
export const PAC_LIMITS = {
  /** Bytes of the file. */
  scriptBytes: 1_048_576,
  memoryBytes: 32 * 1_048_576,
  stackBytes: 262_144,
  /** For one run, in ms; the event loop stands still meanwhile. */
  runMs: 500,
  /** Names that a file may ask for. */
  names: 16,
} as const

export interface PacQuery {
  /** Only scheme, host and port of what is to be reached. */
  readonly url: string
  readonly host: string
}

export interface PacSurroundings {
  /** The IPv4 address of a name, or null where it has none. */
  readonly resolve: (name: string) => Promise<string | null>
  /** This machine's own address. */
  readonly address: string
  /** Monotonic ms. */
  readonly now: () => number
}

/**
 * Runs FindProxyForURL of a PAC file. The file is code from the network: it runs in QuickJS as WebAssembly, a fresh one
 * each time, that has neither files nor sockets nor anything of Node. It cannot wait either, so a run that asks for a name
 * which is not known yet is thrown away, the name is resolved, and it runs again.
 *
 * @returns what it answered, as text
 * @throws {TunnelError} PAC where it fails, takes too long or too much, or answers with something else
 */
export async function runPac(
  script: string,
  query: PacQuery,
  { resolve, address, now }: PacSurroundings,
): Promise<string> {
  if (Buffer.byteLength(script) > PAC_LIMITS.scriptBytes) throw new TunnelError('PAC', 'It is too long.')
  const known = new Map<string, string | null>()
  for (;;) {
    const result = await runOnce({ script, query, known, address, now })
    if (result.missing === undefined) return result.answer
    if (known.size === PAC_LIMITS.names) throw new TunnelError('PAC', 'It asks for too many names.')
    known.set(result.missing, await resolve(result.missing))
  }
}

interface Run {
  readonly script: string
  readonly query: PacQuery
  readonly known: ReadonlyMap<string, string | null>
  readonly address: string
  readonly now: () => number
}

type RunResult = { readonly missing: string } | { readonly missing: undefined; readonly answer: string }

async function runOnce(run: Run): Promise<RunResult> {
  // Loaded where it is needed: it takes 50 ms and 18 MiB.
  const [{ newQuickJSWASMModuleFromVariant }, { default: quickjs }] = await Promise.all([
    import('quickjs-emscripten-core'),
    import('@jitl/quickjs-singlefile-cjs-release-sync'),
  ])
  // A fresh instance: what a run has done to its memory ends with it.
  const engine = await newQuickJSWASMModuleFromVariant(quickjs.default)
  const runtime = engine.newRuntime()
  runtime.setMemoryLimit(PAC_LIMITS.memoryBytes)
  runtime.setMaxStackSize(PAC_LIMITS.stackBytes)
  const until = run.now() + PAC_LIMITS.runMs
  let missing: string | undefined
  runtime.setInterruptHandler(() => missing !== undefined || run.now() > until)
  const context = runtime.newContext()
  const resolve = context.newFunction('resolve', (name) => {
    const asked = context.getString(name).toLowerCase().slice(0, 255)
    const address = run.known.get(asked)
    if (address === undefined) missing ??= asked
    return typeof address === 'string' ? context.newString(address) : context.null
  })
  try {
    install(context, resolve, run.address)
    take(context, context.evalCode(run.script, 'pac')).dispose()
    const answer = ask(context, run.query)
    return missing === undefined ? { missing, answer } : { missing }
  } catch (err) {
    // What fails after a name was missing fails because of it.
    if (missing !== undefined) return { missing }
    throw err
  }
}

type Evaluated = ReturnType<QuickJSContext['evalCode']>

/** @throws {TunnelError} PAC with what the script threw, as printable text of at most 100 characters */
function take(context: QuickJSContext, result: Evaluated): QuickJSHandle {
  if (result.error === undefined) return result.value
  const thrown: unknown = context.dump(result.error)
  const { name, message } = (typeof thrown === 'object' && thrown !== null ? thrown : {}) as {
    readonly name?: unknown
    readonly message?: unknown
  }
  const isStopped = name === 'InternalError' && message === 'interrupted'
  const text = isStopped
    ? `it ran for more than ${PAC_LIMITS.runMs} ms`
    : `${name ?? 'Error'}: ${message ?? ''}`
  throw new TunnelError('PAC', `FindProxyForURL: ${printable(text)}.`)
}

function install(context: QuickJSContext, resolve: QuickJSHandle, address: string): void {
  const make = take(context, context.evalCode(PAC_FUNCTIONS, 'functions'))
  take(
    context,
    context.callFunction(make, context.undefined, context.global, resolve, context.newString(address)),
  ).dispose()
}

function ask(context: QuickJSContext, { url, host }: PacQuery): string {
  const find = context.getProp(context.global, 'FindProxyForURL')
  if (context.typeof(find) !== 'function') throw new TunnelError('PAC', 'It has no FindProxyForURL.')
  const called = context.callFunction(
    find,
    context.undefined,
    context.newString(url),
    context.newString(host),
  )
  const value: unknown = context.dump(take(context, called))
  if (value === null || value === undefined) return ''
  if (typeof value !== 'string') throw new TunnelError('PAC', 'FindProxyForURL answers with no text.')
  return value
}
