import { readFile, stat } from 'node:fs/promises'
import type net from 'node:net'
import { getCACertificates } from 'node:tls'
import { readPrivateFile } from '../config/private-file.ts'
import { type Effects, realEffects } from '../effects.ts'
import { isTunnelError, TunnelError } from '../errors.ts'
import type { NetworkPlan } from './choice.ts'
import { type AcceptedInspector, acceptInspector } from './inspector.ts'
import { Pac } from './pac.ts'
import { ProxyHold } from './proxy-hold.ts'
import { reach } from './reach.ts'
import {
  formatRoute,
  type ProxyCredentials,
  parseProxyCredentials,
  type Route,
  type Target,
} from './route.ts'
import type { Step } from './step.ts'

/** How this process gets out of its network. One for the whole process: it remembers what does not work. */
export interface Network {
  /**
   * The routes to `target` in the order in which they are tried; at least one.
   * @throws {TunnelError} PAC
   */
  routesTo(target: Target, signal: AbortSignal): Promise<readonly Route[]>
  /**
   * Opens a TCP connection to `target` by the first route that works.
   * @throws {TunnelError} what the first route failed with; PROXY_AUTH at once, without trying the next; CONFIG,
   * PERMISSIONS where a file cannot be used; the error of `node:net` of a direct route
   */
  reach(target: Target, signal: AbortSignal, onStep?: (step: Step) => void): Promise<net.Socket>
  /** PEM of the company's CAs, as chosen; they never count for a relay. @throws {TunnelError} CONFIG */
  roots(): Promise<readonly string[]>
  /** The TLS inspector that the site accepted. */
  readonly inspector?: AcceptedInspector
}

/** How long a route that failed is tried last, in ms. */
const DEMOTED_MS = 300_000

const MAX_CA_FILE_BYTES = 4 * 1_048_576

/** The network of a plan. Nothing is read or dialled before it is used. */
export function createNetwork(plan: NetworkPlan, effects: Effects): Network {
  const hold = new ProxyHold(effects)
  const failedAt = new Map<string, number>()
  const { way } = plan
  const roots = once(() => readRoots(plan))
  const pac = way.kind === 'pac' ? new Pac({ source: way.source, roots, effects }) : undefined

  const routesTo = async (target: Target, signal: AbortSignal): Promise<readonly Route[]> => {
    if (pac !== undefined) return pac.routesTo(target, signal)
    if (way.kind !== 'proxy' || way.isExempt(target)) return [{ kind: 'direct' }]
    return [way.setting.route]
  }
  const isDemoted = (route: Route) => {
    const at = failedAt.get(formatRoute(route))
    return at !== undefined && effects.now() - at < DEMOTED_MS
  }
  const tryRoute = async (
    target: Target,
    route: Route,
    options: Pick<Parameters<typeof reach>[2], 'signal' | 'onStep'>,
  ) => {
    if (route.kind === 'direct') return reach(target, route, { ...options, effects })
    const credentials = await credentialsOf(plan)
    const more = { effects, roots: await roots(), ...(credentials === undefined ? {} : { credentials }) }
    return hold.guard(route, credentials, () => reach(target, route, { ...options, ...more }))
  }
  return {
    routesTo,
    roots,
    ...(plan.acceptInspector === undefined
      ? {}
      : { inspector: acceptInspector(plan.acceptInspector, roots) }),
    async reach(target, signal, onStep) {
      const routes = await routesTo(target, signal)
      const ordered = [...routes.filter((route) => !isDemoted(route)), ...routes.filter(isDemoted)]
      const failures: unknown[] = []
      for (const route of ordered) {
        try {
          return await tryRoute(target, route, { signal, ...(onStep === undefined ? {} : { onStep }) })
        } catch (err) {
          signal.throwIfAborted()
          failedAt.set(formatRoute(route), effects.now())
          onStep?.(failedStep(route, err))
          // Another route would not make the password right, but might send it once more.
          if (isTunnelError(err) && err.code === 'PROXY_AUTH') throw err
          failures.push(err)
        }
      }
      throw failures[0]
    },
  }
}

function failedStep(route: Route, err: unknown): Step {
  const known = isTunnelError(err)
    ? err
    : new TunnelError('RELAY_UNREACHABLE', String((err as { code?: unknown }).code ?? ''))
  return { kind: 'failed', route: formatRoute(route), code: known.code, message: known.message }
}

/** Read each time, so that a file with a new password counts at the next attempt. */
async function credentialsOf({
  way,
  credentials,
  credentialsFile,
}: NetworkPlan): Promise<ProxyCredentials | undefined> {
  if (credentialsFile !== undefined) {
    return parseProxyCredentials(await readPrivateFile(credentialsFile, { maxBytes: 4_096 }))
  }
  return credentials ?? (way.kind === 'proxy' ? way.setting.credentials : undefined)
}

async function readRoots({ caFile, systemCa }: NetworkPlan): Promise<readonly string[]> {
  const system = systemCa ? getCACertificates('system') : []
  if (caFile === undefined) return system
  const fault = (cause?: unknown) =>
    new TunnelError('CONFIG', `${caFile} holds no certificates in PEM.`, { next: 'mend --ca-file', cause })
  const { size } = await stat(caFile).catch((err: unknown) => {
    throw fault(err)
  })
  if (size > MAX_CA_FILE_BYTES) throw fault()
  const text = await readFile(caFile, 'utf8')
  const found = text.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g)
  if (found === null) throw fault()
  return [...found, ...system]
}

/** The same answer for all callers; asked again where it failed. */
function once<T>(read: () => Promise<T>): () => Promise<T> {
  let kept: Promise<T> | undefined
  return () => {
    kept ??= read().catch((err: unknown) => {
      kept = undefined
      throw err
    })
    return kept
  }
}

/** A network without proxies, for whoever was given none. */
export const DIRECT_NETWORK: Network = createNetwork(
  { way: { kind: 'direct' }, origin: 'default', systemCa: false },
  realEffects,
)
