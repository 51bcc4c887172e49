import { isTunnelError, TunnelError } from '../../shared/errors.ts'
import { formatRelayAddress } from '../../shared/identity/relay-address.ts'
import { formatRoute, type Route } from '../../shared/network/route.ts'
import type { Step } from '../../shared/network/step.ts'
import type { PathContext } from './context.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** What was seen on the way through proxies. */
export interface ProxyEvidence {
  readonly routes: readonly Route[]
  readonly steps: readonly Step[]
  /** Why no way was found; undefined where one stands. */
  readonly failure?: TunnelError
}

/** Finds the way out that is set, and goes it as far as the relay's port where it leads through a proxy. */
export async function checkProxy(context: PathContext): Promise<readonly Finding[]> {
  const { network, address, seen, signal } = context
  let routes: readonly Route[]
  try {
    routes = await network.routesTo(address, signal)
  } catch (err) {
    const failure = asFailure(err)
    return [fail(failure.code, failure.message, failure.next)]
  }
  const [first] = routes
  if (first === undefined || first.kind === 'direct') return readProxy(address, { routes, steps: [] })
  seen.proxy = formatRoute(first)
  const steps: Step[] = []
  try {
    const socket = await network.reach(address, signal, (step) => steps.push(step))
    socket.destroy()
    seen.isReached = true
    return readProxy(address, { routes, steps })
  } catch (err) {
    return readProxy(address, { routes, steps, failure: asFailure(signal.aborted ? signal.reason : err) })
  }
}

function asFailure(err: unknown): TunnelError {
  if (isTunnelError(err)) return err
  const { code } = err as { code?: unknown }
  return new TunnelError('RELAY_UNREACHABLE', typeof code === 'string' ? code : '', { cause: err })
}

/** What the steps mean. */
export function readProxy(
  address: Parameters<typeof formatRelayAddress>[0],
  { routes, steps, failure }: ProxyEvidence,
): readonly Finding[] {
  const [first] = routes
  if (first === undefined || first.kind === 'direct') {
    return [ok('no proxy is set: the agent dials directly', { routes: ['direct'] })]
  }
  const evidence = { routes: routes.map(formatRoute), steps }
  const heard = describe(steps)
  const told = heard.length === 0 ? '' : ` (${heard.join('; ')})`
  if (failure !== undefined) {
    return [
      fail(
        failure.code,
        `${formatRoute(first)}: ${failure.message}${told}`,
        remedyFor(failure, address),
        evidence,
      ),
    ]
  }
  const lost = steps.filter((step) => step.kind === 'failed')
  if (lost.length > 0) {
    const names = lost.map(({ route, message }) => `${route}: ${message}`).join('; ')
    return [
      warn(
        'PROXY_UNREACHABLE',
        `a way out stands, but not the first: ${names}${told}`,
        'the network team: is that proxy alive?',
        evidence,
      ),
    ]
  }
  return [ok(`${formatRoute(first)} opens the way to ${formatRelayAddress(address)}${told}`, evidence)]
}

/** What a network team wants to know: who answered, what it offered, what was taken. */
function describe(steps: readonly Step[]): readonly string[] {
  return [...new Set(steps.flatMap(wordsOf))]
}

function wordsOf(step: Step): string[] {
  switch (step.kind) {
    case 'proxy-tls':
      return [`TLS to the proxy is signed by ${step.issuer}`]
    case 'socks-method':
      return [`SOCKS5 with ${step.method === 'none' ? 'no authentication' : 'a password'}`]
    case 'proxy-answer':
      return [
        ...(step.server === undefined ? [] : [`it calls itself ${step.server}`]),
        ...(step.schemes.length === 0 ? [] : [`status ${step.status}, it offers ${step.schemes.join(', ')}`]),
        ...(step.used === undefined ? [] : [`we answered with ${step.used}`]),
      ]
    case 'tcp':
    case 'open':
    case 'failed':
      return []
  }
}

function remedyFor(failure: TunnelError, address: Parameters<typeof formatRelayAddress>[0]): string {
  if (failure.code === 'PROXY_REFUSED')
    return `the network team: allow CONNECT to ${formatRelayAddress(address)} on the proxy`
  return failure.next
}
