import type * as v from 'valibot'
import { TunnelError } from '../../shared/errors.ts'
import type { Operation } from '../operations/operation.ts'
import type { OpenRoute } from './open-route.ts'
import type { StreamRoute } from './stream-route.ts'

/** What begins so is the API's to answer. */
export const API_ROOT = '/api/'

/** Before every path of the API. */
export const API_PREFIX = `${API_ROOT}v1`

/** Where the description of the API is. */
const OPENAPI_PATH = '/openapi.json'

export type Method = Operation['http']['method']

/** What a request to the API can reach. */
export type ApiRoute =
  | { readonly kind: 'operation'; readonly definition: Operation }
  | { readonly kind: 'open'; readonly definition: OpenRoute }
  | { readonly kind: 'stream'; readonly definition: StreamRoute }
  | { readonly kind: 'description'; readonly definition: typeof DESCRIPTION }

/** The one route that is not in a list of definitions, because it describes them. */
const DESCRIPTION = {
  name: 'openapi.show',
  summary: 'describe this API',
  http: { method: 'GET', path: OPENAPI_PATH },
} as const

export interface RouteLists {
  readonly operations: readonly Operation[]
  readonly open: readonly OpenRoute[]
  readonly streams: readonly StreamRoute[]
}

/** A route and what its path says of the input. */
export interface FoundRoute {
  readonly route: ApiRoute
  readonly params: Readonly<Record<string, string>>
}

interface Node {
  readonly literals: Map<string, Node>
  param: Node | undefined
  readonly routes: Map<Method, ApiRoute>
}

/** Every route of the API, in the order of the lists. */
export function routesOf({ operations, open, streams }: RouteLists): readonly ApiRoute[] {
  return [
    { kind: 'description', definition: DESCRIPTION },
    ...open.map((definition) => ({ kind: 'open', definition }) as const),
    ...operations.map((definition) => ({ kind: 'operation', definition }) as const),
    ...streams.map((definition) => ({ kind: 'stream', definition }) as const),
  ]
}

/** The input of a route; undefined for the one without. */
export function inputOf({ kind, definition }: ApiRoute): v.GenericSchema | undefined {
  return kind === 'description' ? undefined : definition.input
}

/** The names in braces of a path, in order. */
export function paramNames(path: string): readonly string[] {
  return path.split('/').flatMap((segment) => nameOf(segment) ?? [])
}

/** Finds routes by method and path: a segment that is written out goes before a name in braces. */
export class RouteTable {
  readonly #root = newNode()

  /** @throws {RangeError} where two routes have one method and path: a fault of the lists, seen at the first start */
  constructor(routes: readonly ApiRoute[]) {
    for (const route of routes) this.#add(route)
  }

  /**
   * @param method HEAD is answered by what answers GET
   * @param path behind {@link API_PREFIX}, without the query
   * @throws {TunnelError} NOT_FOUND; HTTP_METHOD naming what the path takes
   */
  find(method: string, path: string): FoundRoute {
    const segments = segmentsOf(path)
    const end = segments === undefined ? undefined : walk(this.#root, segments)
    if (segments === undefined || end === undefined) throw new TunnelError('NOT_FOUND', '', { next: '' })
    const route = end.routes.get((method === 'HEAD' ? 'GET' : method) as Method)
    if (route === undefined) throw new TunnelError('HTTP_METHOD', allowed(end))
    const values = Object.entries(templateOf(route)).map(([name, at]) => [name, segments[at] ?? ''])
    return { route, params: Object.fromEntries(values) }
  }

  /** The operation that a GET of a path runs. */
  reading(path: string): Operation | undefined {
    const segments = segmentsOf(path)
    const route = segments && walk(this.#root, segments)?.routes.get('GET')
    return route?.kind === 'operation' ? route.definition : undefined
  }

  /** The methods of a path, for the header Allow; empty where there is no such path. */
  allow(path: string): string {
    const segments = segmentsOf(path)
    const end = segments === undefined ? undefined : walk(this.#root, segments)
    return end === undefined ? '' : allowed(end)
  }

  #add(route: ApiRoute): void {
    const { method, path } = route.definition.http
    let node = this.#root
    for (const segment of path.slice(1).split('/')) {
      if (nameOf(segment) === undefined) {
        const next = node.literals.get(segment) ?? newNode()
        node.literals.set(segment, next)
        node = next
      } else {
        node.param ??= newNode()
        node = node.param
      }
    }
    if (node.routes.has(method)) throw new RangeError(`Two routes are ${method} ${path}.`)
    node.routes.set(method, route)
  }
}

function newNode(): Node {
  return { literals: new Map(), param: undefined, routes: new Map() }
}

function nameOf(segment: string): string | undefined {
  return /^\{(\w+)\}$/.exec(segment)?.[1]
}

/** Where in a path the value of each name is. */
function templateOf({ definition }: ApiRoute): Readonly<Record<string, number>> {
  const segments = definition.http.path.slice(1).split('/')
  return Object.fromEntries(
    segments.flatMap((segment, at) => [[nameOf(segment), at] as const].filter(hasName)),
  )
}

function hasName(entry: readonly [string | undefined, number]): entry is readonly [string, number] {
  return entry[0] !== undefined
}

function walk(node: Node, segments: readonly string[], at = 0): Node | undefined {
  const segment = segments[at]
  if (segment === undefined) return node.routes.size > 0 ? node : undefined
  const literal = node.literals.get(segment)
  const found = literal && walk(literal, segments, at + 1)
  return found ?? (node.param && walk(node.param, segments, at + 1))
}

function allowed({ routes }: Node): string {
  const methods: string[] = [...routes.keys()]
  if (routes.has('GET')) methods.push('HEAD')
  return methods.sort().join(', ')
}

/** Deepest path that any route has, with room. */
const SEGMENTS_MAX = 16

/**
 * The segments of a path in its one right spelling: nothing empty, no dots, and an escape only where a character needs
 * one. So no two paths mean the same, and what stands before or behind the relay cannot read another one.
 */
function segmentsOf(path: string): readonly string[] | undefined {
  if (!path.startsWith('/')) return undefined
  const segments = path.slice(1).split('/', SEGMENTS_MAX + 1)
  if (segments.length > SEGMENTS_MAX) return undefined
  const decoded = segments.map(decodeSegment)
  return decoded.includes(undefined) ? undefined : (decoded as readonly string[])
}

function decodeSegment(segment: string): string | undefined {
  if (segment === '' || segment === '.' || segment === '..') return undefined
  if (!/^(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-F]{2})+$/.test(segment)) return undefined
  try {
    const text = decodeURIComponent(segment)
    return /[\p{Cc}/\\]/u.test(text) || hasNeedlessEscape(segment) ? undefined : text
  } catch {
    return undefined
  }
}

function hasNeedlessEscape(segment: string): boolean {
  return [...segment.matchAll(/%([0-7][0-9A-F])/g)].some(([, hex = '']) =>
    /[\w.~-]/.test(String.fromCharCode(Number.parseInt(hex, 16))),
  )
}
