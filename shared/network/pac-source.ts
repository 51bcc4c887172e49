import { readFile, stat } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { getCACertificates } from 'node:tls'
import { fileURLToPath } from 'node:url'
import { isTunnelError, TunnelError } from '../errors.ts'
import { readLimited } from '../read-limited.ts'
import { PAC_LIMITS } from './pac-script.ts'
import { printable } from './proxy-answer.ts'

const FETCH_TIMEOUT_MS = 8_000
const MAX_REDIRECTS = 3

/** The source for people and logs: without what may be a password or a key in a URL. */
export function formatPacSource(source: string): string {
  return printable(source.replace(/(?<=^\w+:\/\/)[^/]*@/, '').replace(/[?#].*$/s, '?...'))
}

/**
 * Gets a PAC file from a path, a `file:` URL, or by `http:` or `https:`, directly: the way to it cannot lead through the
 * proxies that it names.
 *
 * @param roots PEM of further CAs for https, beside those that Node has
 * @throws {TunnelError} PAC
 */
export async function loadPac(
  source: string,
  roots: readonly string[],
  signal: AbortSignal,
): Promise<string> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(FETCH_TIMEOUT_MS)])
  try {
    return /^https?:/i.test(source) ? await download(source, roots, limit) : await readPac(source)
  } catch (err) {
    signal.throwIfAborted()
    if (isTunnelError(err)) throw err
    const { code, name } = err as { code?: unknown; name?: unknown }
    const word = name === 'TimeoutError' || limit.aborted ? 'no answer in time' : String(code ?? name)
    throw new TunnelError('PAC', `${formatPacSource(source)}: ${word}.`, { cause: err })
  }
}

async function readPac(source: string): Promise<string> {
  const path = /^file:/i.test(source) ? fileURLToPath(source) : source
  const { size } = await stat(path)
  if (size > PAC_LIMITS.scriptBytes) throw tooLong(source)
  return readFile(path, 'utf8')
}

async function download(source: string, roots: readonly string[], signal: AbortSignal): Promise<string> {
  let url = new URL(source)
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    const answer = await get(url, roots, signal)
    const status = answer.statusCode ?? 0
    if (status === 200) {
      return (await readLimited(answer, PAC_LIMITS.scriptBytes, () => tooLong(source))).toString('utf8')
    }
    answer.destroy()
    const { location } = answer.headers
    if (status < 300 || status > 399 || location === undefined) {
      throw new TunnelError('PAC', `${formatPacSource(source)} answered with ${status}.`)
    }
    const next = new URL(location, url)
    const isSafe = next.protocol === 'https:' || (next.protocol === 'http:' && url.protocol === 'http:')
    if (!isSafe)
      throw new TunnelError('PAC', `${formatPacSource(source)} leads to a place that is less safe.`)
    url = next
  }
  throw new TunnelError('PAC', `${formatPacSource(source)} leads on and on.`)
}

async function get(url: URL, roots: readonly string[], signal: AbortSignal): Promise<http.IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<http.IncomingMessage>()
  const common = {
    signal,
    agent: false,
    headers: { accept: 'application/x-ns-proxy-autoconfig, */*' },
  } as const
  const request =
    url.protocol === 'https:'
      ? https.request(url, { ...common, ca: [...getCACertificates('default'), ...roots] })
      : http.request(url, common)
  request.on('error', reject).on('response', resolve).end()
  return promise
}

function tooLong(source: string): TunnelError {
  return new TunnelError('PAC', `${formatPacSource(source)} is longer than ${PAC_LIMITS.scriptBytes} bytes.`)
}
