import { ERRORS, type ErrorCode, errorEntry } from '../../shared/errors.ts'
import { PRODUCT_VERSION } from '../../shared/version.ts'
import { type Right, ROLE_RIGHTS, ROLES } from '../access/rights.ts'
import { SESSION_COOKIE } from './caller.ts'
import { inputSchema, type JsonSchema, outputSchema } from './json-schema.ts'
import { API_PREFIX, type ApiRoute, inputOf, paramNames } from './routes.ts'

/** What any route may answer beside what it is for; the codes that go with each status are in the catalogue. */
const REFUSALS = {
  any: [400, 404, 405, 421, 429, 431, 500, 503],
  known: [401, 403],
  body: [408, 413, 415],
  change: [409, 412],
  once: [422],
} as const

const texts = new WeakMap<readonly ApiRoute[], string>()

/** The description of the API as OpenAPI 3.1, as it is served; made when it is first asked for. */
export function openApiText(routes: readonly ApiRoute[]): string {
  const known = texts.get(routes)
  if (known !== undefined) return known
  const made = `${JSON.stringify(openApi(routes))}\n`
  texts.set(routes, made)
  return made
}

/** The description of the API as OpenAPI 3.1: from the lists of routes, the table of rights and the catalogue of errors. */
function openApi(routes: readonly ApiRoute[]): object {
  const paths: Record<string, Record<string, object>> = {}
  const readable = new Set(routes.flatMap((route) => (isReading(route) ? [route.definition.http.path] : [])))
  for (const route of routes) {
    const { method, path } = route.definition.http
    paths[path] ??= {}
    paths[path][method.toLowerCase()] = describe(route, readable.has(path))
  }
  return {
    openapi: '3.1.0',
    info: {
      title: 'Sallyport relay',
      version: PRODUCT_VERSION,
      license: { name: 'Apache-2.0', identifier: 'Apache-2.0' },
    },
    servers: [{ url: API_PREFIX }],
    security: [{ session: [] }, { token: [] }],
    paths,
    components: {
      securitySchemes: {
        session: {
          type: 'apiKey',
          in: 'cookie',
          name: SESSION_COOKIE,
          description:
            'A login in a browser. Whatever changes something also takes Origin and X-Sallyport-Request: 1.',
        },
        token: {
          type: 'http',
          scheme: 'bearer',
          description: 'A login of the command line, a key, or a token of a machine.',
        },
      },
      schemas: { Problem: PROBLEM },
      responses: { NotModified: { description: 'Nothing has changed.', ...TAGGED }, ...refusals() },
      headers: { ETag: { description: 'The strong tag of the body.', schema: { type: 'string' } } },
    },
  }
}

function isReading({ kind, definition }: ApiRoute): boolean {
  return kind === 'operation' && definition.http.method === 'GET'
}

const PROBLEM: JsonSchema = {
  type: 'object',
  description: 'RFC 9457. Match on `code`, never on texts.',
  properties: {
    type: { type: 'string' },
    title: { type: 'string' },
    status: { type: 'integer' },
    code: { type: 'string', enum: Object.keys(ERRORS) },
    leg: { type: 'string' },
    detail: { type: 'string' },
    actor: { type: 'string' },
    next: { type: 'string', description: 'What to do, as a command where there is one.' },
    traceId: { type: 'string', pattern: '^[0-9a-f]{32}$' },
    field: { type: 'string', description: 'The member of the input that is not right.' },
    rule: { type: 'string', description: 'What it has to keep to.' },
  },
  required: ['type', 'title', 'status', 'code', 'leg', 'detail', 'actor', 'next', 'traceId'],
}

function refusals(): Record<string, object> {
  const statuses = new Set([...Object.values(REFUSALS).flat()])
  return Object.fromEntries([...statuses].map((status) => [`Problem${status}`, problemResponse(status)]))
}

function problemResponse(status: number, types: readonly string[] = ['application/problem+json']): object {
  const codes = (Object.keys(ERRORS) as ErrorCode[]).filter((code) => errorEntry(code).http === status)
  const problem = { schema: { $ref: '#/components/schemas/Problem' } }
  return {
    description: codes.join(', '),
    content: Object.fromEntries(types.map((type) => [type, problem])),
  }
}

function describe(route: ApiRoute, isReadable: boolean): object {
  const { definition } = route
  const { name, summary, http } = definition
  const schema = inputOf(route)
  const input = schema === undefined ? {} : inputSchema(schema)
  return {
    operationId: name,
    summary: `${summary.charAt(0).toUpperCase()}${summary.slice(1)}.`,
    tags: [name.slice(0, name.indexOf('.'))],
    ...guard(route),
    ...parameters(route, input, isReadable),
    ...(http.method === 'GET' ? {} : requestBody(route, input)),
    responses: {
      200: success(route),
      ...(isTagged(route) ? { 304: { $ref: '#/components/responses/NotModified' } } : {}),
      ...refusalsOf(route),
    },
  }
}

/** Who may. */
function guard(route: ApiRoute): object {
  if (route.kind === 'description') return { security: [] }
  if (route.kind === 'open') return { security: [], description: `Takes ${route.definition.authentication}.` }
  const { right, isDangerous = false } = route.definition
  const roles = rolesWith(right)
  const who =
    roles.length > 0 ? `Roles that hold it: ${roles.join(', ')}.` : 'It is the relay operator’s alone.'
  const recent = isDangerous ? ' Wants a login of the last five minutes.' : ''
  return {
    description: `Needs the right \`${right}\`. ${who}${recent}`,
    'x-sallyport-right': right,
    'x-sallyport-roles': roles,
    'x-sallyport-recent-login': isDangerous,
  }
}

/** The roles that hold a right, from the one table. */
export function rolesWith(right: Right): readonly string[] {
  return ROLES.filter((role) => ROLE_RIGHTS[role].includes(right))
}

/** Whether an answer has a tag, and is 304 where the caller has it already. */
function isTagged({ kind, definition }: ApiRoute): boolean {
  return definition.http.method === 'GET' && (kind === 'operation' || kind === 'description')
}

const TAGGED = { headers: { ETag: { $ref: '#/components/headers/ETag' } } }

/** @param isReadable whether a GET of the same path is an operation */
function parameters(route: ApiRoute, input: JsonSchema, isReadable: boolean): object {
  const { method, path } = route.definition.http
  const inPath = paramNames(path)
  const members = Object.entries(input.properties ?? {})
  const ofPath = inPath.map((name) => {
    const { default: _, ...schema } = input.properties?.[name] ?? { type: 'string' }
    return { name, in: 'path', required: true, schema: { minLength: 1, ...schema } }
  })
  const inQuery = method === 'GET' ? members.filter(([name]) => !inPath.includes(name)) : []
  const ofQuery = inQuery.map(([name, schema]) => ({
    name,
    in: 'query',
    required: input.required?.includes(name) === true,
    schema,
  }))
  const all = [...ofPath, ...ofQuery, ...headersOf(route, isReadable)]
  return all.length > 0 ? { parameters: all } : {}
}

const header = (name: string, description: string, schema: JsonSchema = {}) => ({
  ...{ name, in: 'header', description },
  schema: { type: 'string', ...schema },
})

function headersOf(route: ApiRoute, isReadable: boolean): object[] {
  if (isTagged(route)) return [header('If-None-Match', 'Answered by 304 where nothing has changed.')]
  const headers: object[] = []
  if (route.kind !== 'operation') return headers
  const { method } = route.definition.http
  if (method === 'POST') {
    const pattern = '^[!-~]{1,128}$'
    headers.push(header('Idempotency-Key', 'Done once in a day for each key of a caller.', { pattern }))
  }
  if (isReadable) {
    headers.push(header('If-Match', 'Refused by 412 where what a GET of this path gives has another tag.'))
  }
  return headers
}

function requestBody({ kind, definition }: ApiRoute, input: JsonSchema): object {
  const inPath = paramNames(definition.http.path)
  const properties = Object.entries(input.properties ?? {}).filter(([name]) => !inPath.includes(name))
  if (input.properties !== undefined && properties.length === 0) return {}
  const required = (input.required ?? []).filter((name) => !inPath.includes(name))
  const type =
    kind === 'open' && definition.body === 'form' ? 'application/x-www-form-urlencoded' : 'application/json'
  const { properties: _, required: __, ...rest } = input
  const schema = {
    ...rest,
    ...(properties.length > 0 ? { properties: Object.fromEntries(properties) } : {}),
    required,
  }
  return { requestBody: { required: required.length > 0, content: { [type]: { schema } } } }
}

function success(route: ApiRoute): object {
  const { kind, definition } = route
  if (kind === 'stream') {
    return { description: 'A stream.', content: { [definition.type]: { schema: { type: 'string' } } } }
  }
  const schema = kind === 'description' ? { type: 'object' } : outputSchema(definition.output)
  return {
    description: 'Done.',
    ...(isTagged(route) ? TAGGED : {}),
    content: { 'application/json': { schema } },
  }
}

function refusalsOf({ kind, definition }: ApiRoute): object {
  const { method } = definition.http
  const statuses: number[] = [...REFUSALS.any]
  if (kind !== 'description') statuses.push(...REFUSALS.known)
  if (method !== 'GET') statuses.push(...REFUSALS.body, ...REFUSALS.change)
  if (method === 'POST' && kind === 'operation') statuses.push(...REFUSALS.once)
  const type = kind === 'open' ? definition.refusalType : undefined
  const responses = statuses.map((status) => [
    status,
    type === undefined
      ? { $ref: `#/components/responses/Problem${status}` }
      : problemResponse(status, ['application/problem+json', type]),
  ])
  return { ...Object.fromEntries(responses), default: problemDefault }
}

const problemDefault = {
  description: 'Any other refusal.',
  content: { 'application/problem+json': { schema: { $ref: '#/components/schemas/Problem' } } },
}
