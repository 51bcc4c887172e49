import { X509Certificate } from 'node:crypto'
import { isIP } from 'node:net'
import tls, { type SecureVersion } from 'node:tls'
import { formatDay } from '../../shared/config/duration.ts'
import { fingerprint, spkiHash } from '../../shared/identity/keys.ts'
import { formatRelayAddress } from '../../shared/identity/relay-address.ts'
import { relayHandshakeOptions } from '../../shared/identity/relay-tls.ts'
import { inspectionError, isSignedBy, issuerOf, observeChain } from '../../shared/network/inspector.ts'
import type { ExpectedCa, PathContext } from './context.ts'
import { type Finding, fail, ok, warn } from './finding.ts'

/** What a handshake showed. */
export interface TlsEvidence {
  /** The leaf first; empty where the handshake came to no end. */
  readonly chain: readonly X509Certificate[]
  readonly protocol?: string
  /** What node or OpenSSL said, where the chain is empty; ETIMEDOUT where nothing came. */
  readonly fault?: string
  /** From dialling, name and proxy included, to the end of the handshake or its failure, in ms. */
  readonly ms: number
}

/** What it is held against. */
export interface TlsExpectation {
  readonly where: string
  readonly host: string
  readonly serverName: string
  readonly expected: ExpectedCa
  /** By this machine's clock, in ms since 1970. */
  readonly now: number
  /** PEM of the CAs that this machine or its company trusts, beyond those that everybody does. */
  readonly companyRoots: readonly string[]
  /** PEM of the CAs of the public web. */
  readonly publicRoots: readonly string[]
  /** Fingerprint of an inspector's CA that the site accepted. */
  readonly accepted?: string
}

const NOT_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_BAD_RECORD_TYPE',
  'ERR_SSL_UNEXPECTED_MESSAGE',
])

const OLD_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
  'ERR_SSL_UNSUPPORTED_PROTOCOL',
  'ERR_SSL_TLSV1_ALERT_INSUFFICIENT_SECURITY',
])

/** Makes a handshake and looks who signed what came. Nothing is sent beyond it. */
export async function checkTls(context: PathContext): Promise<readonly Finding[]> {
  const { address, seen, serverName, expected, effects, network } = context
  let evidence = await observe(context, 'TLSv1.3')
  const isOld = OLD_TLS.has(evidence.fault ?? '')
  if (isOld) evidence = await observe(context, 'TLSv1.2')
  const publicRoots = tls.getCACertificates('bundled')
  const isPublic = new Set(publicRoots)
  const roots = [...tls.getCACertificates('system'), ...(await network.roots())]
  const expectation: TlsExpectation = {
    where: formatRelayAddress(address),
    host: address.host,
    serverName,
    expected,
    now: effects.date(),
    companyRoots: roots.filter((pem) => !isPublic.has(pem)),
    publicRoots,
    ...(network.inspector === undefined ? {} : { accepted: network.inspector.fingerprint }),
  }
  const [leaf] = evidence.chain
  if (leaf !== undefined && bearsName(leaf, serverName) && isInTime(leaf, expectation.now)) {
    seen.chain = evidence.chain
  }
  seen.isRelay = caOf(evidence.chain, expected) !== undefined
  return readTls(evidence, expectation)
}

/** @throws {TunnelError} of `Network.reach` */
async function observe(context: PathContext, minVersion: SecureVersion): Promise<TlsEvidence> {
  const { network, address, serverName, effects, signal } = context
  const began = effects.now()
  const raw = await network.reach(address, signal)
  return new Promise((resolve) => {
    const socket = tls.connect({
      socket: raw,
      ...relayHandshakeOptions(serverName),
      minVersion,
      ALPNProtocols: ['http/1.1'],
    })
    const chain = observeChain(socket)
    let protocol: string | undefined
    socket.prependListener('secure', () => {
      protocol = socket.getProtocol() ?? undefined
    })
    const finish = (fault?: string) => {
      signal.removeEventListener('abort', onAbort)
      socket.destroy()
      raw.destroy()
      const ms = Math.round(effects.now() - began)
      const seen = chain()
      resolve({
        chain: seen,
        ms,
        ...(protocol === undefined ? {} : { protocol }),
        ...(seen.length > 0 || fault === undefined ? {} : { fault }),
      })
    }
    const onAbort = () => finish('ETIMEDOUT')
    signal.addEventListener('abort', onAbort, { once: true })
    socket.once('secureConnect', () => finish())
    // More than one may come: what follows the first is of no interest.
    socket.on('error', (err: NodeJS.ErrnoException) => finish(err.code ?? 'closed'))
    socket.once('close', () => finish('closed'))
  })
}

/** The expected CA where it signed the leaf of a chain. Without an expectation nothing is the relay. */
function caOf(chain: readonly X509Certificate[], expected: ExpectedCa): X509Certificate | undefined {
  const [leaf] = chain
  if (leaf === undefined || expected.kind === 'unknown') return undefined
  const ca =
    expected.kind === 'certificate'
      ? new X509Certificate(expected.pem)
      : chain.find((one) => one.ca && spkiHash(one).equals(expected.pin) && isSignedBy(one, one))
  return ca !== undefined && isSignedBy(leaf, ca) ? ca : undefined
}

function bearsName(leaf: X509Certificate, serverName: string): boolean {
  return (isIP(serverName) === 0 ? leaf.checkHost(serverName) : leaf.checkIP(serverName)) !== undefined
}

function isInTime(leaf: X509Certificate, now: number): boolean {
  return now >= leaf.validFromDate.getTime() && now < leaf.validToDate.getTime()
}

/** What the handshake means. */
export function readTls(evidence: TlsEvidence, expectation: TlsExpectation): readonly Finding[] {
  const { chain, protocol, ms } = evidence
  const [leaf] = chain
  if (leaf === undefined) return [readFault(evidence, expectation)]
  const found = {
    protocol,
    ms,
    subject: oneLine(leaf.subject),
    issuer: oneLine(leaf.issuer),
    names: leaf.subjectAltName,
    notBefore: leaf.validFromDate.toISOString(),
    notAfter: leaf.validToDate.toISOString(),
    chain: chain.map((one) => fingerprint(one)),
  }
  const ca = caOf(chain, expectation.expected)
  const finding =
    ca === undefined ? readStranger(evidence, leaf, expectation) : readRelay(ca, leaf, evidence, expectation)
  return [{ ...finding, evidence: found }]
}

/** The relay's own CA signed it: what is left is the name and the time. */
function readRelay(
  ca: X509Certificate,
  leaf: X509Certificate,
  { protocol, ms }: TlsEvidence,
  expectation: TlsExpectation,
): Finding {
  const { serverName, now, where } = expectation
  const key = fingerprint(ca)
  if (!bearsName(leaf, serverName)) {
    return fail(
      'RELAY_IDENTITY',
      `the relay's own CA (${key}) signed the certificate, but for ${leaf.subjectAltName ?? 'no name'} and not for ${serverName}`,
      'the relay operator: start the relay with this name (relay up --name), or make a join string for the right one',
    )
  }
  if (!isInTime(leaf, now)) {
    return fail(
      'CLOCK',
      `the clock here says ${new Date(now).toISOString()}, the relay ${where} has a certificate for ${leaf.validFromDate.toISOString()} to ${leaf.validToDate.toISOString()}`,
      'the site administrator: set the right time here, such as: timedatectl set-ntp true; else the relay operator: the same there',
    )
  }
  return ok(
    `${protocol} with the relay itself: its own CA (${key}) signed the certificate, good until ${formatDay(leaf.validToDate.getTime())} (${ms} ms)`,
  )
}

/** Somebody else signed it, or it is not known whose CA to expect. */
function readStranger(evidence: TlsEvidence, leaf: X509Certificate, expectation: TlsExpectation): Finding {
  const { expected, where, host, companyRoots, publicRoots, accepted } = expectation
  const { chain, protocol } = evidence
  const company = issuerOf(leaf, chain, companyRoots)
  const isCompany = signsOneOf(chain, companyRoots)
  const isPublic = signsOneOf(chain, publicRoots)
  const key = company.fingerprint === undefined ? '' : ` (key ${company.fingerprint})`
  const signed = `${where} shows a certificate signed by: ${company.name}${key}`
  if (isPublic) {
    return fail(
      'RELAY_IDENTITY',
      `${signed}, a CA of the public web, and no relay has its certificate from there`,
      'is the address right? A load balancer or CDN in front of a relay must pass TLS through and not end it: the relay operator',
    )
  }
  const next = inspectionError(where, host, company, undefined).next
  if (accepted !== undefined && accepted === company.fingerprint) {
    return warn(
      'RELAY_IDENTITY',
      `${signed}, the TLS inspector that was accepted here`,
      `better without: have ${host} exempted from inspection`,
    )
  }
  if (isCompany || expected.kind !== 'unknown') {
    const whose = isCompany
      ? ', a CA of your company: a TLS inspector opens the connection'
      : ': that is not the relay'
    return fail('RELAY_IDENTITY', `${signed}${whose}`, `the network team: ${next}`)
  }
  return ok(
    `${protocol}; ${signed}. Whether that is the relay's own CA only a join string can tell: --join-file FILE`,
  )
}

/** True where one of `roots` signed the end of the chain, or is in it. */
function signsOneOf(chain: readonly X509Certificate[], roots: readonly string[]): boolean {
  return roots.some((pem) => {
    const root = readRoot(pem)
    return root !== undefined && chain.some((one) => isSignedBy(one, root))
  })
}

function readRoot(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    // A store may hold what OpenSSL does not read; nothing is signed by that.
    return undefined
  }
}

function readFault({ fault = 'closed', ms }: TlsEvidence, { where, host }: TlsExpectation): Finding {
  const team = `the network team: let TLS 1.3 to ${where} pass as it is, and exempt ${host} from inspection`
  const evidence = { fault, ms }
  if (NOT_TLS.has(fault)) {
    return fail(
      'RELAY_IDENTITY',
      `what answers at ${where} is not TLS: a sign-in page of the network, or another service`,
      `is the port right? ${team}`,
      evidence,
    )
  }
  if (OLD_TLS.has(fault)) {
    return fail(
      'RELAY_IDENTITY',
      `what answers at ${where} speaks no TLS 1.3 (${fault}), which every relay does`,
      team,
      evidence,
    )
  }
  if (fault === 'ETIMEDOUT') {
    return fail(
      'RELAY_UNREACHABLE',
      `the connection to ${where} stands, but nothing answers the beginning of TLS: a filter, or packets of full size get lost`,
      team,
      evidence,
    )
  }
  return fail(
    'RELAY_UNREACHABLE',
    `the connection to ${where} is broken off at the beginning of TLS (${fault}): a filter that reads the name`,
    team,
    evidence,
  )
}

function oneLine(text: string): string {
  return text
    .replaceAll('\n', ', ')
    .replaceAll(/[^ -~]/g, '?')
    .slice(0, 200)
}
