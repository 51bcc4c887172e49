import { TunnelError } from '../errors.ts'
import { formatRoute, parseProxyUrl, type Route } from './route.ts'

/** Most ways that a PAC file may name; the rest is left out. */
const MAX_PAC_ROUTES = 8

const SCHEMES: Readonly<Record<string, string>> = {
  proxy: 'http',
  http: 'http',
  https: 'https',
  socks: 'socks5',
  socks5: 'socks5',
}

/**
 * Reads what FindProxyForURL answered: `PROXY a:8080; SOCKS5 b:1080; DIRECT`. An empty answer means DIRECT. Ways of other
 * kinds, such as SOCKS4, are left out.
 *
 * @throws {TunnelError} PAC where nothing in it can be used
 */
export function parsePacAnswer(text: string): Route[] {
  if (text.trim() === '') return [{ kind: 'direct' }]
  const routes = new Map<string, Route>()
  for (const part of text.slice(0, 4_096).split(';')) {
    const route = parsePart(part.trim())
    if (route !== undefined && routes.size < MAX_PAC_ROUTES) routes.set(formatRoute(route), route)
  }
  if (routes.size === 0) throw new TunnelError('PAC', 'It answers with no way that is supported.')
  return [...routes.values()]
}

function parsePart(part: string): Route | undefined {
  if (/^direct$/i.test(part)) return { kind: 'direct' }
  const [, word = '', address = ''] = /^([a-z0-9]+)\s+(\S+)$/i.exec(part) ?? []
  const scheme = SCHEMES[word.toLowerCase()]
  // A password in the answer of a PAC file is not one that anybody gave to us.
  if (scheme === undefined || address.includes('@')) return undefined
  try {
    return parseProxyUrl(`${scheme}://${address}`).route
  } catch {
    return undefined
  }
}
