import { Resolver as DnsResolver, lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import type { PathContext } from './context.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** One question, as it was answered. */
export interface DnsAnswer {
  readonly addresses: readonly string[]
  /** Why there are none. */
  readonly code?: string
  readonly ms: number
}

/** The name asked in all the ways in which it matters. */
export interface DnsEvidence {
  /** By the system's own resolver, as the agent asks: hosts file, search domains and all. */
  readonly system: DnsAnswer
  /** By the name servers alone: A and AAAA. */
  readonly a: DnsAnswer
  readonly aaaa: DnsAnswer
}

/** Stands in for the real name service in tests. */
export interface Names {
  readonly system: (host: string) => Promise<readonly string[]>
  readonly a: (host: string) => Promise<readonly string[]>
  readonly aaaa: (host: string) => Promise<readonly string[]>
}

/** Milliseconds for a name after which a person would notice. */
const SLOW_MS = 2_000

/** Milliseconds for one question; two are put. */
const QUESTION_MS = 2_000

const CAUSES: Readonly<Record<string, string>> = {
  ENOTFOUND: 'the name server says that there is no such name (NXDOMAIN)',
  ENODATA: 'the name exists and has no address',
  ESERVFAIL: 'the name server fails at the question (SERVFAIL)',
  EREFUSED: 'the name server refuses the question (REFUSED)',
  ETIMEOUT: 'no name server answers',
  ECONNREFUSED: 'no name server runs at the address that this machine has for it',
  EAI_AGAIN: 'no name server answers',
}

const REMEDY =
  'whoever runs the name service here: let this machine resolve the name; where a proxy is meant to do that, name it: --proxy URL'

/** Resolves the name of the relay. */
export async function checkDns({ address, seen, signal, effects }: PathContext): Promise<readonly Finding[]> {
  const { host } = address
  if (isIP(host) !== 0) {
    seen.numbers = [host]
    return [ok('the relay is given as a number, so no name is needed')]
  }
  const evidence = await askNames(host, { effects, signal })
  seen.numbers = evidence.system.addresses
  return readDns(host, evidence, seen.proxy)
}

/** Puts the three questions at once. */
export async function askNames(
  host: string,
  {
    effects,
    signal,
    names = realNames(signal),
  }: { effects: Pick<Effects, 'now'>; signal: AbortSignal; names?: Names },
): Promise<DnsEvidence> {
  const ask = async (question: (host: string) => Promise<readonly string[]>): Promise<DnsAnswer> => {
    const began = effects.now()
    const late = Promise.withResolvers<never>()
    const onAbort = () => late.reject(Object.assign(new Error('late'), { code: 'ETIMEOUT' }))
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      const addresses = await Promise.race([question(host), late.promise])
      return { addresses, ms: Math.round(effects.now() - began) }
    } catch (err) {
      const { code = 'unknown fault' } = err as NodeJS.ErrnoException
      return { addresses: [], code, ms: Math.round(effects.now() - began) }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }
  const [system, a, aaaa] = await Promise.all([ask(names.system), ask(names.a), ask(names.aaaa)])
  return { system, a, aaaa }
}

function realNames(signal: AbortSignal): Names {
  const dns = new DnsResolver({ timeout: QUESTION_MS, tries: 2 })
  signal.addEventListener('abort', () => dns.cancel(), { once: true })
  return {
    system: async (host) =>
      (await lookup(host, { all: true, order: 'verbatim' })).map(({ address }) => address),
    a: (host) => dns.resolve4(host),
    aaaa: (host) => dns.resolve6(host),
  }
}

/** What the answers mean. @param proxy the way out where it is not the direct one: the proxy resolves the name then */
export function readDns(host: string, evidence: DnsEvidence, proxy: string | undefined): readonly Finding[] {
  const { system, a, aaaa } = evidence
  const found = { ...evidence }
  if (system.addresses.length === 0) {
    const why = causeOf(a.addresses.length === 0 ? (a.code ?? system.code) : system.code)
    if (proxy !== undefined) return [ok(`${host} is not resolved here: ${why}; ${proxy} resolves it`, found)]
    return [fail('RELAY_UNREACHABLE', `${host} has no address: ${why}`, REMEDY, found)]
  }
  const list = system.addresses.join(', ')
  const here =
    a.addresses.length + aaaa.addresses.length === 0 ? ', which no name server says: the hosts file?' : ''
  const findings = [ok(`${host} is ${list} (${system.ms} ms)${here}`, found)]
  const mute = [a, aaaa].flatMap(({ code }, index) => (isMute(code) ? [index === 0 ? 'A' : 'AAAA'] : []))
  if (mute.length === 1) {
    findings.push(
      warn(
        'RELAY_UNREACHABLE',
        `the name servers do not answer for ${mute[0]} records of ${host}: ${causeOf(mute[0] === 'A' ? a.code : aaaa.code)}`,
        'whoever runs the name service here: each connection may wait for that answer first',
      ),
    )
  }
  if (system.ms > SLOW_MS) {
    findings.push(
      warn(
        'RELAY_UNREACHABLE',
        `it took ${system.ms} ms to resolve ${host}`,
        'whoever runs the name service here: is the first name server of this machine alive?',
      ),
    )
  }
  return findings
}

function isMute(code: string | undefined): boolean {
  return code === 'ETIMEOUT' || code === 'ESERVFAIL' || code === 'EREFUSED'
}

function causeOf(code = 'unknown fault'): string {
  return CAUSES[code] ?? code
}
