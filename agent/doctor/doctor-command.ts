import type { Readable } from 'node:stream'
import type { Output } from '../../shared/cli/output.ts'
import { readSecret } from '../../shared/cli/secret-input.ts'
import { realEffects } from '../../shared/effects.ts'
import { errorEntry, isTunnelError, TunnelError } from '../../shared/errors.ts'
import { parseJoinString } from '../../shared/identity/join-string.ts'
import { parseRelayAddress, type RelayAddress } from '../../shared/identity/relay-address.ts'
import type { NetworkChoice } from '../../shared/network/choice.ts'
import { describePlan } from '../../shared/network/find-network.ts'
import { networkFlags } from '../../shared/network/flags.ts'
import type { Rules } from '../../shared/policy/rule.ts'
import { rulesPath } from '../agent.ts'
import { readIdentity } from '../identity-store.ts'
import { agentNetwork, networkSettings } from '../network.ts'
import { readRulesFile } from '../rules/file.ts'
import { parseRules } from '../rules/parse.ts'
import { readSettings } from '../settings.ts'
import type { Examination } from './context.ts'
import { examine, type Line, verdictOf } from './examine.ts'
import { IDLE_FULL_SECONDS, IDLE_QUICK_SECONDS } from './idle.ts'
import { reportLines } from './report.ts'

/** Bounds of `--idle`, in seconds: the relay holds no connection for longer. */
const IDLE_SECONDS = { least: 1, most: 3_600 } as const

export interface DoctorFlags extends NetworkChoice {
  readonly data: string
  /** `wss://HOST[:PORT]` or `HOST:PORT`. */
  readonly relay?: string
  readonly joinFile?: string
  /** Seconds, or `full`. */
  readonly idle?: string
  readonly report?: boolean
  readonly targets?: boolean
}

export interface DoctorSurroundings {
  readonly stdin: Readable
  readonly environment: NodeJS.ProcessEnv
  readonly signal: AbortSignal
  readonly output: Output
}

type Patient = Omit<Examination, 'network' | 'effects' | 'idleSeconds'>

/**
 * `sallyport agent doctor`.
 * @throws {TunnelError} the code of the first check that failed, so that it decides about the exit status
 */
export async function examineNetwork(flags: DoctorFlags & DoctorSurroundings): Promise<void> {
  const { data, output, signal, environment, report = false, targets = false } = flags
  const idleSeconds = readIdleSeconds(flags.idle)
  const patient = await findPatient(flags)
  const settings = await networkSettings(data)
  const sources = { directory: data, flags: networkFlags(flags), environment, settings }
  const { network, plan } = await agentNetwork(sources)
  if (plan.origin !== 'default') output.note(`way to the relay: ${describePlan(plan)}`)
  let subject: string | undefined
  const onLine = (line: Line) => {
    if (report) return
    if (line.subject !== subject && line.subject !== undefined && line.check !== 'target')
      output.note(line.subject)
    subject = line.subject
    output.result(jsonOf(line), textOf(line))
  }
  const examination: Examination = { ...patient, network, effects: realEffects, idleSeconds }
  const progress = <T>(label: string, work: Promise<T>) => output.progress(label, work)
  const lines = await examine(examination, { signal, onLine, progress })
  if (report) {
    const { addresses, serverName } = patient
    const text = reportLines({ addresses, serverName, lines, now: realEffects.date(), withTargets: targets })
    output.result({ report: text.join('\n') }, text)
  }
  const failure = verdictOf(lines)
  if (failure !== undefined) throw failure
}

/** Whom to examine: what the flags name, else the agent of the data directory. */
async function findPatient(flags: DoctorFlags & DoctorSurroundings): Promise<Patient> {
  const { relay, joinFile, data, stdin, signal } = flags
  if (relay !== undefined && joinFile !== undefined) {
    throw new TunnelError('USAGE', 'Give --relay or --join-file, not both.', {
      next: 'sallyport agent doctor --help',
    })
  }
  if (relay !== undefined) {
    const address = readRelay(relay)
    return { addresses: [address], serverName: address.host, expected: { kind: 'unknown' } }
  }
  if (joinFile !== undefined) {
    const invitation = parseJoinString((await readSecret(joinFile, { stdin, signal })).reveal())
    const { addresses, serverName, caPin: pin } = invitation
    return { addresses, serverName, expected: { kind: 'pin', pin } }
  }
  return joinedPatient(data)
}

async function joinedPatient(directory: string): Promise<Patient> {
  const identity = await readIdentity(directory)
  if (identity === undefined) {
    throw new TunnelError(
      'USAGE',
      `No agent has joined in ${directory}, so it must be said which relay is meant.`,
      {
        next: 'sallyport agent doctor --relay wss://HOST:PORT, or --join-file FILE, or --data DIR',
      },
    )
  }
  const { addresses, serverName } = await readSettings(directory, identity)
  const { ca, certificate, key } = identity
  const expected = { kind: 'certificate', pem: ca } as const
  return {
    addresses,
    serverName,
    expected,
    client: { certificate, key },
    directory,
    ...(await readRules(directory)),
  }
}

/** A rules file that is not right is a finding, and no reason to leave the network alone. */
async function readRules(directory: string): Promise<{ rules: Rules } | { rulesFault: TunnelError }> {
  const path = rulesPath(directory)
  try {
    return { rules: parseRules(await readRulesFile(path), path) }
  } catch (err) {
    if (!isTunnelError(err)) throw err
    return err.code === 'NOT_FOUND' ? { rules: new Map() } : { rulesFault: err }
  }
}

/** `wss://HOST`, with or without a port, or HOST:PORT. @throws {TunnelError} USAGE */
export function readRelay(text: string): RelayAddress {
  const [, rest = ''] = /^(?:wss:\/\/)?([^/]+)\/?$/i.exec(text) ?? []
  const lower = rest.toLowerCase()
  try {
    return parseRelayAddress(/:\d+$/.test(lower.replace(/\[.*\]/, '')) ? lower : `${lower}:443`)
  } catch (cause) {
    throw new TunnelError('USAGE', '--relay is wss://HOST:PORT, without a path.', {
      next: 'sallyport agent doctor --help',
      cause,
    })
  }
}

function readIdleSeconds(text: string | undefined): number {
  if (text === undefined) return IDLE_QUICK_SECONDS
  if (text === 'full') return IDLE_FULL_SECONDS
  const seconds = /^\d{1,4}$/.test(text) ? Number(text) : 0
  if (seconds >= IDLE_SECONDS.least && seconds <= IDLE_SECONDS.most) return seconds
  throw new TunnelError(
    'USAGE',
    `--idle is a number of seconds from ${IDLE_SECONDS.least} to ${IDLE_SECONDS.most}, or full.`,
    {
      next: 'sallyport agent doctor --help',
    },
  )
}

function jsonOf({ code, ...line }: Line): Readonly<Record<string, unknown>> {
  return code === undefined ? line : { ...line, code, actor: errorEntry(code).actor }
}

function textOf({ check, subject, verdict, text, code, remedy }: Line): string[] {
  const about = check === 'target' ? `${subject}: ` : ''
  const lines = [`${verdict.padEnd(7)} ${check.padEnd(8)} ${about}${text}`]
  if (code !== undefined) lines.push(`        ${' '.repeat(8)} ${code}; ${remedy}`)
  return lines
}
