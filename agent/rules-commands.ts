import type { Output } from '../shared/cli/output.ts'
import { makePrivateDirectory } from '../shared/config/private-file.ts'
import { realEffects } from '../shared/effects.ts'
import { isTunnelError, TunnelError } from '../shared/errors.ts'
import { isName, NAME_RULE } from '../shared/policy/name.ts'
import type { Rule } from '../shared/policy/rule.ts'
import { formatHostPort, parseHostPort } from '../shared/wire/host-port.ts'
import { rulesPath } from './agent.ts'
import { addressContext } from './dial/address-context.ts'
import { createResolver } from './dial/resolve.ts'
import { probeKind } from './health/kind.ts'
import { type ProbeResult, probeTarget } from './health/probe.ts'
import { allow, deny } from './rules/edit.ts'
import { readRulesFile } from './rules/file.ts'
import { makeRule, parseRules } from './rules/parse.ts'

/** How long a target that nothing is known about may take for a greeting, in ms. */
const GREETING_MS = 500

export interface AllowFlags {
  readonly data: string
  readonly protocol: string
  readonly allowLoopback?: boolean
  readonly allowLinkLocal?: boolean
  readonly cidr?: readonly string[]
  readonly method?: readonly string[]
  readonly pathPrefix?: readonly string[]
  readonly hostHeader?: string
  readonly maxStreams?: string
  readonly detail?: boolean
  readonly resume: boolean
  /** How the target's health is asked. */
  readonly probe?: string
  /** False: it is not tried now. */
  readonly try?: false
}

/** `sallyport agent allow`. */
export async function allowRule(
  options: AllowFlags & { rule: string; signal: AbortSignal; output: Output },
): Promise<void> {
  const { data, output, signal } = options
  const rule = readRule(options)
  await makePrivateDirectory(data)
  const { before } = await allow(rulesPath(data), rule)
  const target = formatHostPort(rule.host.text, rule.port)
  const verb = before === undefined ? 'allowed' : 'changed'
  if (options.try === false || probeKind(rule) === 'none') {
    output.result({ resource: rule.resource, target, change: verb }, `${verb} ${rule.resource} = ${target}`)
    return
  }
  const probe = await output.progress(
    `trying ${target}`,
    probeTarget(rule, {
      signal,
      effects: realEffects,
      resolver: createResolver({ effects: realEffects }),
      context: addressContext([]),
      greetingMs: GREETING_MS,
    }),
  )
  const ok = probe.state !== 'failing'
  output.result({ resource: rule.resource, target, change: verb, probe: { ok, ...probe } }, [
    `${verb} ${rule.resource} = ${target} (${rule.protocol})`,
    answerLine(probe),
  ])
}

function answerLine({ state, code, detail, ms }: ProbeResult): string {
  if (state === 'failing') return `BROKEN: ${code} ${detail}`
  return `${state === 'warn' ? 'WARNING: ' : ''}answers in ${Math.round(ms)} ms: ${detail}`
}

/** `sallyport agent deny`. */
export async function denyRule({
  data,
  name,
  output,
}: {
  data: string
  name: string
  output: Output
}): Promise<void> {
  await deny(rulesPath(data), name)
  output.result({ resource: name, change: 'denied' }, `denied ${name}; a running agent ends its streams`)
}

/** `sallyport agent list`. */
export async function listRules({ data, output }: { data: string; output: Output }): Promise<void> {
  const path = rulesPath(data)
  const text = await readRulesFile(path).catch((error: unknown) => {
    if (isTunnelError(error) && error.code === 'NOT_FOUND') return ''
    throw error
  })
  const rules = text === '' ? new Map<string, Rule>() : parseRules(text, path)
  if (rules.size === 0) output.note(`no rules in ${path}: nothing can be reached`)
  for (const rule of rules.values()) {
    const target = formatHostPort(rule.host.text, rule.port)
    output.result(
      { resource: rule.resource, protocol: rule.protocol, target, allowLoopback: rule.allowLoopback },
      `${rule.resource}  ${rule.protocol}  ${target}${rule.allowLoopback ? '  loopback allowed' : ''}`,
    )
  }
}

function readRule(options: AllowFlags & { rule: string }): Rule {
  const at = options.rule.indexOf('=')
  const name = options.rule.slice(0, Math.max(0, at))
  if (!isName(name))
    throw new TunnelError('USAGE', `Write NAME=HOST:PORT. ${NAME_RULE}`, {
      next: 'sallyport agent allow --help',
    })
  const target = parseHostPort(options.rule.slice(at + 1))
  if (!target.ok)
    throw new TunnelError(
      'USAGE',
      `${options.rule}: ${target.reason}. Write NAME=HOST:PORT, such as db=10.0.0.5:5432.`,
      {
        next: 'sallyport agent allow --help',
      },
    )
  const keys = {
    protocol: options.protocol,
    host: target.value.host.text,
    port: target.value.port,
    cidr: options.cidr,
    allow_loopback: options.allowLoopback,
    allow_link_local: options.allowLinkLocal,
    methods: options.method,
    path_prefixes: options.pathPrefix,
    host_header: options.hostHeader,
    max_streams: options.maxStreams === undefined ? undefined : Number(options.maxStreams),
    detail: options.detail,
    resume: options.resume ? undefined : false,
    probe: options.probe,
  }
  return makeRule(name, Object.fromEntries(Object.entries(keys).filter(([, value]) => value !== undefined)))
}
