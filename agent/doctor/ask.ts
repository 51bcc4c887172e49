import { type IncomingMessage, request } from 'node:http'
import type { Socket } from 'node:net'
import tls from 'node:tls'
import { relayHandshakeOptions } from '../../shared/identity/relay-tls.ts'
import type { PathContext } from './context.ts'

/** Most bytes of an answer that are read. */
const MAX_BODY_BYTES = 8_192

/** What came back to one request. */
export interface Answer {
  readonly status: number
  /** Names and values in turn, as they came. */
  readonly rawHeaders: readonly string[]
  /** In lower case, as node joins them. */
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  /** At most 8 KiB; empty after an upgrade. */
  readonly body: string
  /** From the request to the head of the answer, in ms. */
  readonly ms: number
  /** By this machine's clock in ms since 1970, when the head of the answer came. */
  readonly at: number
  /** The connection, where the answer is 101; the caller's own from then on. */
  readonly upgraded?: Socket
}

/** A TLS connection to what was seen before on the path; the caller ends it. */
export async function connectAgain(context: PathContext): Promise<tls.TLSSocket> {
  const { network, address, seen, signal, serverName, client } = context
  const raw = await network.reach(address, signal)
  const isShown = seen.isRelay === true && client !== undefined
  const socket = tls.connect({
    socket: raw,
    ...relayHandshakeOptions(serverName),
    // Whoever was there a moment ago, be it the relay or an inspector, and nobody else. Nothing secret is sent to an inspector:
    // our certificate is only shown where the chain was the relay's.
    ca: (seen.chain ?? []).map((certificate) => certificate.toString()),
    allowPartialTrustChain: true,
    ...(seen.isRelay === true ? {} : { minVersion: 'TLSv1.2' }),
    ...(isShown ? { cert: client.certificate, key: client.key.reveal() } : {}),
    ALPNProtocols: ['http/1.1'],
  })
  const { promise, resolve, reject } = Promise.withResolvers<void>()
  const onAbort = () => socket.destroy(signal.reason as Error)
  signal.addEventListener('abort', onAbort, { once: true })
  socket.once('secureConnect', resolve).once('error', reject)
  socket.once('close', () => reject(Object.assign(new Error('closed'), { code: 'ECONNRESET' })))
  try {
    await promise
    return socket
  } finally {
    signal.removeEventListener('abort', onAbort)
    socket.removeListener('error', reject)
    socket.on('error', () => undefined)
  }
}

/** Sends one GET over a connection, and reads what comes back. Ends the connection unless it was upgraded. */
export async function ask(
  context: Pick<PathContext, 'serverName' | 'address' | 'signal' | 'effects'>,
  socket: tls.TLSSocket,
  path: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<Answer> {
  const { effects, signal, serverName, address } = context
  const began = effects.now()
  const { promise, resolve, reject } = Promise.withResolvers<{
    response: IncomingMessage
    upgraded?: Socket
  }>()
  const outgoing = request({
    createConnection: () => socket,
    path,
    headers: {
      host: `${serverName.includes(':') ? `[${serverName}]` : serverName}:${address.port}`,
      ...headers,
    },
    signal,
  })
  outgoing.on('error', reject)
  outgoing.on('response', (response: IncomingMessage) => resolve({ response }))
  outgoing.on('upgrade', (response: IncomingMessage, upgraded: Socket, head: Buffer) => {
    if (head.length > 0) upgraded.unshift(head)
    resolve({ response, upgraded })
  })
  outgoing.end()
  try {
    const { response, upgraded } = await promise
    const ms = Math.round(effects.now() - began)
    const at = effects.date()
    const { statusCode: status = 0, rawHeaders } = response
    const plain = { status, rawHeaders, headers: response.headers, ms, at }
    if (upgraded !== undefined) return { ...plain, body: '', upgraded }
    return { ...plain, body: await readBeginning(response) }
  } catch (err) {
    socket.destroy()
    throw err
  }
}

/** The beginning is enough to know who answered. */
async function readBeginning(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let length = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length
    chunks.push(chunk)
    if (length >= MAX_BODY_BYTES) break
  }
  response.destroy()
  return Buffer.concat(chunks).subarray(0, MAX_BODY_BYTES).toString('utf8')
}
