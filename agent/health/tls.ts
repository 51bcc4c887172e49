import type { X509Certificate } from 'node:crypto'
import type { Socket } from 'node:net'
import {
  type ConnectionOptions,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  connect as tlsConnect,
} from 'node:tls'
import { formatDay } from '../../shared/config/duration.ts'
import type { Effects } from '../../shared/effects.ts'
import type { Host } from '../../shared/policy/host.ts'
import type { Reading } from './hello.ts'
import { leave } from './leave.ts'

/** A certificate is warned about for so long before its end, in ms; a short-lived one for the last quarter of its life. */
const WARN_MS = 21 * 86_400_000
const WARN_PART = 1 / 4

/** Longest chain that is looked at. */
const CHAIN_MAX = 8

/** What OpenSSL says where the answer is no TLS at all. */
const NO_TLS: ReadonlySet<string> = new Set([
  'ERR_SSL_WRONG_VERSION_NUMBER',
  'ERR_SSL_PACKET_LENGTH_TOO_LONG',
  'ERR_SSL_BAD_RECORD_TYPE',
])

/**
 * Certificates that this machine does not trust and has seen before, by host and port. Node breaks a handshake off where it
 * does not trust, which a server may log as a fault; so the next one expects the certificate that was seen.
 */
export type SeenCertificates = Map<string, { readonly leaf: X509Certificate; readonly fault: string }>

/** Most of them; the oldest are forgotten. */
const MAX_SEEN = 1_000

export interface TlsOptions {
  readonly host: Host
  readonly port: number
  readonly seen: SeenCertificates
  readonly effects: Pick<Effects, 'date' | 'after'>
  /** Ends the handshake. */
  readonly signal: AbortSignal
  /**
   * True where TLS is an offer inside another protocol (PostgreSQL): its clients seldom verify, so a certificate that this
   * machine does not trust is no news, and one that is over is a warning only.
   */
  readonly isOffered: boolean
}

let trusted: SecureContext | undefined

/** What this machine trusts, read when the first handshake needs it. */
function trust(): SecureContext {
  if (trusted === undefined) {
    const system = getCACertificates('system')
    trusted = createSecureContext(system.length > 0 ? { ca: system } : {})
  }
  return trusted
}

interface Handshake {
  /** Undefined where the handshake did not come to its end. */
  readonly chain: readonly X509Certificate[] | undefined
  /** Why it failed, or why the chain is not trusted. */
  readonly fault: string | undefined
}

/**
 * Makes a TLS handshake on `socket` says what its certificate is worth, and leaves; nothing is sent beyond it. Verification stays
 * on: where it fails Node ends the connection, and the chain was read before.
 */
export async function inspectTls(socket: Socket, options: TlsOptions): Promise<Reading> {
  const { chain, fault } = await shakeHands(socket, options)
  if (chain === undefined) return withoutEnd(fault)
  const [leaf] = chain
  if (leaf === undefined) return { state: 'warn', note: 'TLS without a certificate' }
  return judge(leaf, chain, fault, options)
}

async function shakeHands(socket: Socket, options: TlsOptions): Promise<Handshake> {
  const { host, port, seen } = options
  const key = `${host.text} ${port}`
  const known = seen.get(key)
  const { chain, fault } = await handshake(socket, options, known?.leaf)
  const leaf = chain?.[0]
  if (leaf === undefined) return { chain, fault }
  if (known !== undefined) {
    if (leaf.fingerprint256 === known.leaf.fingerprint256) return { chain, fault: known.fault }
    // Another certificate: what it is worth here the next handshake says, which expects nothing.
    seen.delete(key)
    return { chain, fault: undefined }
  }
  if (fault !== undefined) {
    const [oldest] = seen.keys()
    if (seen.size >= MAX_SEEN && oldest !== undefined) seen.delete(oldest)
    seen.set(key, { leaf, fault })
  }
  return { chain, fault }
}

/** One handshake, held against `expected` where there is one, else against what this machine trusts. */
function handshake(
  socket: Socket,
  { host, signal, effects }: TlsOptions,
  expected: X509Certificate | undefined,
): Promise<Handshake> {
  return new Promise((resolve) => {
    let chain: X509Certificate[] | undefined
    const secured = tlsConnect({
      socket,
      ...(expected === undefined ? { secureContext: trust() } : expecting(expected)),
      // What the certificate is held against; a name is also asked for.
      host: host.text,
      ...(host.kind === 'ip' ? {} : { servername: host.text }),
    })
    const onAbort = () => finish('no answer in time')
    let isOver = false
    const finish = (fault: string | undefined) => {
      if (isOver) return
      isOver = true
      signal.removeEventListener('abort', onAbort)
      resolve({ chain, fault })
      leave(secured, effects)
    }
    // The end of the handshake. Node's own listener for it verifies and takes the socket down, so ours comes before.
    secured.prependListener('secure', () => {
      chain = []
      let next = secured.getPeerX509Certificate()
      for (; next !== undefined && chain.length < CHAIN_MAX; next = next.issuerCertificate) chain.push(next)
    })
    secured.once('secureConnect', () => finish(undefined))
    secured.on('error', (error: NodeJS.ErrnoException) => finish(error.code ?? 'unknown fault'))
    secured.once('close', () => finish('closed'))
    signal.addEventListener('abort', onAbort, { once: true })
    if (signal.aborted) onAbort()
  })
}

/** This very certificate and no other; whether it names the host was judged when it was first seen. */
function expecting(leaf: X509Certificate): ConnectionOptions {
  return {
    secureContext: createSecureContext({ ca: leaf.toString(), allowPartialTrustChain: true }),
    checkServerIdentity: () => undefined,
  }
}

function withoutEnd(fault = 'closed'): Reading {
  if (NO_TLS.has(fault)) return { state: 'failing', note: 'what answers is not TLS' }
  if (!fault.startsWith('ERR_SSL_')) return { state: 'failing', note: `TLS handshake: ${fault}` }
  // Somebody speaks TLS there, but not to us: an old version, or a client certificate is wanted.
  return { state: 'warn', note: `TLS, which refuses a handshake: ${fault}` }
}

function judge(
  leaf: X509Certificate,
  chain: readonly X509Certificate[],
  fault: string | undefined,
  { effects, isOffered }: TlsOptions,
): Reading {
  const date = effects.date()
  const wrong = { state: isOffered ? 'warn' : 'failing', code: 'TARGET_TLS' } as const
  const end = leaf.validToDate.getTime()
  if (date >= end) return { ...wrong, note: `TLS, the certificate ended on ${formatDay(end)}` }
  const begin = leaf.validFromDate.getTime()
  if (date < begin) return { ...wrong, note: `TLS, the certificate is good from ${formatDay(begin)} only` }
  if (fault !== undefined && !isOffered) {
    return { state: 'warn', note: `TLS, this machine does not trust the certificate: ${fault}` }
  }
  for (const certificate of chain) {
    const until = certificate.validToDate.getTime()
    const warnMs = Math.min(WARN_MS, (until - certificate.validFromDate.getTime()) * WARN_PART)
    // One of the chain that is over already was not needed: the chain is good without it.
    if (date < until && until - date <= warnMs) {
      const days = Math.floor((until - date) / 86_400_000)
      return { state: 'warn', note: `TLS, a certificate ends on ${formatDay(until)}, in ${days} days` }
    }
  }
  return { state: 'ok', note: `TLS, certificate until ${formatDay(end)}` }
}
