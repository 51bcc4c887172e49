import * as v from 'valibot'
import { TunnelError } from '../errors.ts'
import { isFingerprint } from '../identity/keys.ts'
import { isLoopback, type NoProxy, parseNoProxy } from './no-proxy.ts'
import { PROXY_URL_MAX_LENGTH, type ProxyCredentials, type ProxySetting, parseProxyUrl } from './route.ts'

const text = (max: number) => v.optional(v.pipe(v.string(), v.minLength(1), v.maxLength(max)))

/** What can be set, in flags and in the settings file alike. */
export const networkChoiceSchema = v.strictObject({
  /** URL of a proxy, or `direct`. */
  proxy: text(PROXY_URL_MAX_LENGTH),
  /** See `parseNoProxy`. */
  noProxy: text(16_384),
  /** URL or path of a PAC file. */
  pac: text(2_048),
  /** A private file with USER:PASSWORD. */
  proxyCredentialsFile: text(4_096),
  /** PEM file with the company's CAs. */
  caFile: text(4_096),
  /** The CAs of the operating system count like those of `caFile`. */
  systemCa: v.optional(v.boolean()),
  /** Fingerprint of the key of a TLS inspector's CA, which may stand between here and the relay. */
  acceptInspector: v.optional(v.pipe(v.string(), v.check(isFingerprint))),
})

export type NetworkChoice = v.InferOutput<typeof networkChoiceSchema>

/** Where a way out was set. */
export type Origin = 'flag' | 'environment' | 'settings' | 'system' | 'default'

/** How targets are reached, once all sources are weighed. */
export type Way =
  | { readonly kind: 'direct' }
  | { readonly kind: 'proxy'; readonly setting: ProxySetting; readonly isExempt: NoProxy }
  | { readonly kind: 'pac'; readonly source: string }

export interface NetworkPlan {
  readonly way: Way
  readonly origin: Origin
  /** Counts before those of a URL. */
  readonly credentials?: ProxyCredentials
  /** Counts before both; read anew for each connection. */
  readonly credentialsFile?: string
  readonly caFile?: string
  readonly systemCa: boolean
  readonly acceptInspector?: string
}

export interface ChoiceSources {
  readonly flags: NetworkChoice
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly settings: NetworkChoice
  /** What Windows has set for this user or machine. */
  readonly system: NetworkChoice
}

/** What holds once `next` was set where `kept` held before: a proxy takes a PAC file's place, and the other way round. */
export function mergeChoice(kept: NetworkChoice, next: NetworkChoice): NetworkChoice {
  const { proxy: _proxy, pac: _pac, ...others } = kept
  return next.proxy === undefined && next.pac === undefined ? { ...kept, ...next } : { ...others, ...next }
}

/**
 * Weighs the sources: flags before the environment before the settings file before the system. The first that names a proxy
 * or a PAC file decides about the way; everything else comes from the first that has it.
 *
 * @throws {TunnelError} CONFIG where a value is not right, naming the source
 */
export function planNetwork(sources: ChoiceSources): NetworkPlan {
  const { flags, settings, system } = sources
  const environment = environmentChoice(sources.environment)
  const ordered = [
    ['flag', flags],
    ['environment', environment],
    ['settings', settings],
    ['system', system],
  ] as const
  const noProxy = ordered.find(([, choice]) => choice.noProxy !== undefined)?.[1].noProxy
  const credentialsFile = flags.proxyCredentialsFile ?? settings.proxyCredentialsFile
  const caFile = flags.caFile ?? settings.caFile
  const acceptInspector = flags.acceptInspector ?? settings.acceptInspector
  const [origin, chosen] = ordered.find(([, { proxy, pac }]) => proxy !== undefined || pac !== undefined) ?? [
    'default' as const,
    {},
  ]
  return {
    way: wayOf(chosen, origin, noProxy ?? ''),
    origin,
    systemCa: flags.systemCa ?? settings.systemCa ?? false,
    ...(credentialsFile === undefined ? {} : { credentialsFile }),
    ...(caFile === undefined ? {} : { caFile }),
    ...(acceptInspector === undefined ? {} : { acceptInspector }),
  }
}

function wayOf({ proxy, pac }: NetworkChoice, origin: Origin, noProxy: string): Way {
  // A proxy that is named beside a PAC file is what Windows keeps for the time when the file is switched off.
  if (pac !== undefined) return { kind: 'pac', source: pac }
  if (proxy === undefined || proxy === 'direct') return { kind: 'direct' }
  const listed = parseNoProxy(noProxy)
  // What stands in the environment or the system is meant for all programs; what was set for us is meant as it stands.
  const isGeneral = origin === 'environment' || origin === 'system'
  return {
    kind: 'proxy',
    setting: readProxy(proxy, origin),
    isExempt: (target) => listed(target) || (isGeneral && isLoopback(target)),
  }
}

function readProxy(proxy: string, origin: Origin): ProxySetting {
  try {
    return parseProxyUrl(proxy)
  } catch (err) {
    const { detail } = err as TunnelError
    throw new TunnelError('CONFIG', `${detail} It comes from: ${origin}.`)
  }
}

/** The variables that everybody reads, the lower case first. */
function environmentChoice(environment: ChoiceSources['environment']): NetworkChoice {
  const read = (...names: string[]) =>
    names.flatMap((name) => [environment[name.toLowerCase()], environment[name]]).find((value) => value)
  const proxy = read('HTTPS_PROXY', 'ALL_PROXY')
  const noProxy = read('NO_PROXY')
  return { ...(proxy === undefined ? {} : { proxy }), ...(noProxy === undefined ? {} : { noProxy }) }
}
