import type { Rule } from '../../shared/policy/rule.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import { addressContext } from '../dial/address-context.ts'
import { createResolver, type Resolver } from '../dial/resolve.ts'
import { probeKind } from '../health/kind.ts'
import { type ProbeResult, probeTarget } from '../health/probe.ts'
import type { SiteContext } from './context.ts'
import { type Finding, fail, ok, skipped, warn } from './finding.ts'

/** Targets that are asked at once. */
const AT_ONCE = 8

/** The finding on one target. Text and evidence name what stands inside: they stay on the site unless it is wanted otherwise. */
export type TargetFinding = Finding & { readonly resource: string }

/** Dials every allowed target as a stream would, held to its own rule, and says hello in its protocol. */
export async function checkTargets(
  { rules, effects, signal }: SiteContext,
  relayNumbers: Iterable<string>,
  resolver: Resolver = createResolver({ effects }),
): Promise<readonly TargetFinding[]> {
  const waiting = [...(rules?.values() ?? [])]
  const context = addressContext(relayNumbers)
  const found = new Map<string, Finding>()
  const work = async () => {
    for (let rule = waiting.shift(); rule !== undefined; rule = waiting.shift()) {
      const { resource } = rule
      if (probeKind(rule) === 'none') found.set(resource, skipped('its rule says that it is not to be asked'))
      else
        found.set(resource, readTarget(rule, await probeTarget(rule, { effects, signal, resolver, context })))
    }
  }
  await Promise.all(Array.from({ length: AT_ONCE }, work))
  return [...(rules?.keys() ?? [])].flatMap((resource) => {
    const finding = found.get(resource)
    return finding === undefined ? [] : [{ resource, ...finding }]
  })
}

/** What a probe means. */
export function readTarget(rule: Rule, { kind, state, code, detail, ms }: ProbeResult): Finding {
  const target = formatHostPort(rule.host.text, rule.port)
  const evidence = { target, kind, ms: Math.round(ms), detail }
  if (state === 'ok') return ok(`${detail} (${Math.round(ms)} ms)`, evidence)
  const text = detail.startsWith(target) ? detail : `${target}: ${detail}`
  if (state === 'warn')
    return warn(code ?? 'TARGET_UNHEALTHY', text, 'the site administrator: look at the target', evidence)
  return fail(code ?? 'TARGET_UNHEALTHY', text, remedyFor(code, rule), evidence)
}

function remedyFor(code: ProbeResult['code'], { resource, port }: Rule): string {
  switch (code) {
    case 'DENIED_BY_SITE':
      return `the site administrator: the rule ${resource} does not allow the address behind its name; sallyport agent list`
    case 'DNS':
      return `the site administrator: is the host in the rule ${resource} right, and does this machine resolve it?`
    case 'CONNECTION_REFUSED':
      return `the site administrator: is the service running, and listening on port ${port} for this machine?`
    case 'CONNECT_TIMEOUT':
    case 'UNREACHABLE':
      return `the site administrator: let this machine through to port ${port} of the target`
    case 'TARGET_TLS':
      return 'the owner of the target: renew its certificate'
    default:
      return 'the owner of the target: look at its log'
  }
}
