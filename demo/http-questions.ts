import { createHash, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import http, { type IncomingMessage } from 'node:http'
import https from 'node:https'
import * as v from 'valibot'
import { type Question, wrong } from './measure.ts'
import { sampleBytes } from './services/http.ts'

/** Where an HTTP service is reached. */
export interface HttpEndpoint {
  readonly host: string
  readonly port: number
  /** Ask by TLS for this name, and trust this CA alone. */
  readonly tls?: { readonly name: string; readonly ca: string }
}

const BODY_BYTES = 1024 * 1024
/** For one answer, in ms. */
const ANSWER_MS = 10_000

const echoSchema = v.object({ service: v.string(), method: v.literal('GET'), url: v.string() })

/** The paths that are asked for, as a person may ask for them. */
export const PATHS = { small: '/json', large: `/bytes/${BODY_BYTES}` } as const

/** A small request, a different one each time; the service says what it saw. */
export function smallRequest(endpoint: HttpEndpoint, signal: AbortSignal): Question {
  const client = openClient(endpoint, signal)
  return {
    ask: async () => {
      const path = `${PATHS.small}?${randomUUID()}`
      const body = await client.get(path)
      const seen = v.safeParse(v.pipe(v.string(), v.parseJson(), echoSchema), body.toString())
      if (!seen.success || seen.output.url !== path)
        throw wrong(`GET ${path}`, excerpt(body), `"url":"${path}"`)
      return `200 ${body.toString('utf8', 0, 34)} ...`
    },
    [Symbol.asyncDispose]: client.close,
  }
}

/** 1 MiB whose every byte is known beforehand. */
export function largeBody(endpoint: HttpEndpoint, signal: AbortSignal): Question {
  const client = openClient(endpoint, signal)
  const expected = sha256([...sampleBytes(BODY_BYTES)])
  return {
    ask: async () => {
      const body = await client.get(PATHS.large)
      const hash = sha256([body])
      if (hash !== expected) {
        throw wrong(`GET ${PATHS.large}`, `${body.length} bytes with SHA-256 ${hash}`, expected)
      }
      return `200 1 MiB, SHA-256 ${hash.slice(0, 8)} ... is right`
    },
    [Symbol.asyncDispose]: client.close,
  }
}

interface HttpClient {
  /** The body of a 200. @throws {TunnelError} INTERNAL for any other status */
  get(path: string): Promise<Buffer>
  close(): Promise<void>
}

/** One connection, which stays open. */
function openClient({ host, port, tls }: HttpEndpoint, signal: AbortSignal): HttpClient {
  const single = { keepAlive: true, maxSockets: 1 }
  const agent =
    tls === undefined
      ? new http.Agent(single)
      : new https.Agent({ ...single, ca: tls.ca, servername: tls.name })
  const { request } = tls === undefined ? http : https
  const headers = tls === undefined ? {} : { host: `${tls.name}:${port}` }
  return {
    async get(path) {
      const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_MS)])
      const sent = request({ host, port, path, agent, headers, signal: limit })
      sent.end()
      const [response] = (await once(sent, 'response')) as [IncomingMessage]
      const chunks: Buffer[] = []
      for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk)
      const body = Buffer.concat(chunks)
      if (response.statusCode !== 200) {
        throw wrong(`GET ${path}`, `status ${response.statusCode}, ${excerpt(body)}`, 'status 200')
      }
      return body
    },
    close: async () => agent.destroy(),
  }
}

function sha256(blocks: readonly Buffer[]): string {
  const hash = createHash('sha256')
  for (const block of blocks) hash.update(block)
  return hash.digest('hex')
}

function excerpt(body: Buffer): string {
  return JSON.stringify(body.toString('utf8', 0, 200))
}
