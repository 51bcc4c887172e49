import type { IncomingMessage } from 'node:http'
import { headerValues } from '../../shared/http/headers.ts'
import type { RequestContext } from './host-route.ts'

/** Who is asking, as some framework would believe it. Folded names. */
const CLAIMS_OF_IDENTITY: ReadonlySet<string> = new Set([
  'cf-connecting-ip',
  'client-ip',
  'forwarded',
  'proxy',
  'remote-user',
  'true-client-ip',
  'x-client-ip',
  'x-cluster-client-ip',
  'x-original-host',
  'x-real-ip',
  'x-remote-user',
])
const VIA = '1.1 sallyport'
/** A request that came through this often goes in a circle. */
const MAX_VIA = 4

/** True for headers of a client that speak of the client: what the target gets to read of them is ours. */
export function isForwardedByUs(name: string): boolean {
  return CLAIMS_OF_IDENTITY.has(name) || name.startsWith('x-forwarded') || name.startsWith('x-sallyport')
}

/** The headers the relay answers for: Host unchanged, the client by its connection, Via, the trace. */
export function ingressHeaders(request: IncomingMessage, context: RequestContext): string[] {
  const { authority, client, scheme, trace } = context
  const node = client.includes(':') ? `"[${client}]"` : client
  return [
    ...['Host', authority],
    ...['X-Forwarded-For', client],
    ...['X-Forwarded-Host', authority],
    ...['X-Forwarded-Proto', scheme],
    // RFC 7239 section 4; a host with a port needs quotes.
    ...['Forwarded', `for=${node};host="${authority}";proto=${scheme}`],
    ...['Via', [...headerValues(request.rawHeaders, 'via'), VIA].join(', ')],
    ...['traceparent', trace.parent],
  ]
}

/** True where a published host leads back to this or another relay's ingress. */
export function goesInCircles(request: IncomingMessage): boolean {
  const hops = headerValues(request.rawHeaders, 'via').join(',').split(',')
  return hops.filter((hop) => hop.trim() === VIA).length >= MAX_VIA
}
