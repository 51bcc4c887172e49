import { connect, isIPv6 } from 'node:net'
import type { Effects } from '../../shared/effects.ts'
import { formatHostPort } from '../../shared/wire/host-port.ts'
import type { PathContext } from './context.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** Milliseconds after which an address counts as one that swallows packets. */
const ATTEMPT_MS = 3_000

/** Most addresses that are tried. */
const MAX_ADDRESSES = 16

/** One address, tried alone. */
export interface TcpAttempt {
  /** A number. */
  readonly address: string
  readonly ms: number
  /** Why it did not connect; ETIMEDOUT where nothing came at all. */
  readonly code?: string
}

const CAUSES: Readonly<Record<string, string>> = {
  ETIMEDOUT: 'no answer: something drops the packets',
  ECONNREFUSED: 'refused: nothing listens there, or a firewall answers in its place',
  ECONNRESET: 'broken off at once: a firewall',
  EHOSTUNREACH: 'no route, or a firewall says so',
  ENETUNREACH: 'this machine has no way into that network',
  EADDRNOTAVAIL: 'this machine has no address of that family',
  EACCES: 'a firewall on this machine forbids it',
  EPERM: 'a firewall on this machine forbids it',
}

/** Connects to each address behind the name, all at once, and lets go again. */
export async function checkTcp({ address, seen, effects, signal }: PathContext): Promise<readonly Finding[]> {
  const numbers = (seen.numbers ?? []).slice(0, MAX_ADDRESSES)
  const attempts = await Promise.all(
    numbers.map((number) => attemptTcp(number, address.port, { effects, signal })),
  )
  seen.isReached = attempts.some(({ code }) => code === undefined)
  return readTcp(address.port, attempts)
}

/** Never rejects. */
function attemptTcp(
  address: string,
  port: number,
  {
    effects,
    signal,
    limitMs = ATTEMPT_MS,
  }: { effects: Pick<Effects, 'now' | 'after'>; signal: AbortSignal; limitMs?: number },
): Promise<TcpAttempt> {
  const began = effects.now()
  return new Promise((resolve) => {
    const socket = connect({ host: address, port, autoSelectFamily: false })
    const finish = (code?: string) => {
      cancel()
      signal.removeEventListener('abort', onLate)
      socket.destroy()
      const ms = Math.round(effects.now() - began)
      resolve(code === undefined ? { address, ms } : { address, ms, code })
    }
    const onLate = () => finish('ETIMEDOUT')
    const cancel = effects.after(limitMs, onLate)
    signal.addEventListener('abort', onLate, { once: true })
    socket.once('connect', () => finish())
    socket.on('error', (err: NodeJS.ErrnoException) => finish(err.code ?? 'unknown fault'))
  })
}

/** What the attempts mean. */
export function readTcp(port: number, attempts: readonly TcpAttempt[]): readonly Finding[] {
  const good = attempts.filter(({ code }) => code === undefined)
  const bad = attempts.filter(({ code }) => code !== undefined)
  const evidence = { port, attempts }
  if (good.length === 0) {
    const text = `no address takes a connection: ${bad.map((attempt) => causeOf(attempt, port)).join('; ')}`
    return [fail('RELAY_UNREACHABLE', text, remedyFor(bad, port), evidence)]
  }
  const list = good.map(({ address, ms }) => `${formatHostPort(address, port)} in ${ms} ms`).join(', ')
  const findings = [ok(`connects to ${list}`, evidence)]
  if (bad.length > 0) findings.push(readDead(port, good, bad))
  return findings
}

/** Some addresses work and some do not: the agent gets through, later than it could. */
function readDead(port: number, good: readonly TcpAttempt[], bad: readonly TcpAttempt[]): Finding {
  const isFamily =
    bad.every(({ address }) => isIPv6(address)) && good.every(({ address }) => !isIPv6(address))
  const isSilent = bad.some(({ code }) => code === 'ETIMEDOUT')
  const dead = bad.map((attempt) => causeOf(attempt, port)).join('; ')
  const cost = isSilent ? ', which costs each connection a second or two' : ''
  if (isFamily) {
    return warn(
      'RELAY_UNREACHABLE',
      `IPv6 is announced and leads nowhere${cost}: ${dead}`,
      'the network team: let IPv6 through to these addresses, or give this machine none',
    )
  }
  return warn(
    'RELAY_UNREACHABLE',
    `some addresses are dead${cost}: ${dead}`,
    `the network team: open ${bad.map(({ address }) => formatHostPort(address, port)).join(', ')}; the relay operator: take dead addresses out of the name`,
  )
}

function causeOf({ address, code = '' }: TcpAttempt, port: number): string {
  return `${formatHostPort(address, port)}: ${CAUSES[code] ?? code}`
}

function remedyFor(bad: readonly TcpAttempt[], port: number): string {
  const open = `the network team: open outgoing TCP to ${bad.map(({ address }) => formatHostPort(address, port)).join(', ')}`
  const isRefused = bad.every(({ code }) => code === 'ECONNREFUSED')
  return isRefused
    ? `the relay operator: does the relay run on this port? ${open}`
    : `${open}; where a proxy is the only way out, name it: --proxy URL`
}
