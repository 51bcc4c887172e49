import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { RIGHTS, ROLE_RIGHTS, ROLES } from '../relay/access/rights.ts'
import { inputSchema, type JsonSchema } from '../relay/api/json-schema.ts'
import { OPEN_ROUTES } from '../relay/api/open-routes.ts'
import { rolesWith } from '../relay/api/openapi.ts'
import { API_PREFIX, type ApiRoute, inputOf, paramNames, routesOf } from '../relay/api/routes.ts'
import { STREAM_ROUTES } from '../relay/api/stream-routes.ts'
import { OPERATIONS } from '../relay/operations/list.ts'

/** Writes docs/api.md and docs/rights.md from the lists of routes and the table of rights: `npm run docs`. */

const routes = routesOf({ operations: OPERATIONS, open: OPEN_ROUTES, streams: STREAM_ROUTES })

const API_INTRODUCTION = `# API

<!-- Made from the lists of routes by "npm run docs"; changes here are lost. -->

Everything that the command line does to a running relay is here too, under \`https://RELAY${API_PREFIX}\`. The relay describes it in
OpenAPI 3.1 at \`${API_PREFIX}/openapi.json\`. [rights.md](rights.md) says which role may what.

\`\`\`
curl --cacert ca.pem -H "Authorization: Bearer $TOKEN" https://relay.example.org${API_PREFIX}/tenants/default/status
sallyport relay status --relay https://relay.example.org
\`\`\`

## How to ask
- **Who asks** is said by \`Authorization: Bearer TOKEN\` (a login of the command line, a key, a machine's token), or by the cookie of a
  browser's session; never by both. With the cookie, whatever changes something also takes \`Origin\` and \`X-Sallyport-Request: 1\`.
- **Names in braces** stand in the path. Other members are the query of a GET, or a JSON object of at most 1 MiB. A member that is not
  listed is refused, and so is a name said twice.
- **A path has one spelling**: no slash at its end, no empty part, no escape that is not needed. No header changes the method.
- **Refusals** are problem documents (RFC 9457): match on \`code\` ([errors.md](errors.md)). Bad input names the \`field\` and its \`rule\`.
  What belongs to another tenant answers as what does not exist.
- **Lists** give \`{ items, next }\`; \`next\` is the \`cursor\` of the next page.
- **ETag**: a GET gives one, \`If-None-Match\` is answered by 304. \`If-Match\` on a change refuses it by 412 where what a GET of the
  same path gives is another now; where there is no such GET it always does.
- **Idempotency-Key** on a POST: sent again within 24 hours by the same caller, it gives the first answer and does nothing. With
  another request it is refused (422); where the first has no answer yet, or was longer than 64 KiB, too (409).
- **Rates**: 50 requests a second for each caller, 200 at once; 100 and 400 for each address. Beyond them 429 with \`Retry-After\`.
- A browser's page of another site can read nothing: there is no CORS.

## Routes
`

const RIGHTS_INTRODUCTION = `# Rights

<!-- Made from relay/access/rights.ts by "npm run docs"; changes here are lost. -->

A role is held at a place: a tenant, an environment of it, or a site in that. It holds for all within the place. The operator of the relay's
own machine may everything but what is about oneself. What is of the relay as a whole (\`relay:\` and \`backup:\`, and the audit of \`@relay\`) no role
holds: the operator lends a token for it, which lives for hours and sees into no tenant (\`relay operator add\`). What a program does (a machine, or a key) counts in an environment that is
marked as production only where the assignment says so (\`viaApi\`); it begins with nothing.

`

/** The text of docs/api.md. */
export function apiDocs(): string {
  const groups = Map.groupBy(routes, ({ definition }) =>
    definition.name.slice(0, definition.name.indexOf('.')),
  )
  const sections = [...groups]
    .sort(([one], [other]) => (one < other ? -1 : 1))
    .map(([object, of]) => `\n### ${object}\n${of.map(routeText).join('')}`)
  return `${API_INTRODUCTION.trimEnd()}\n${sections.join('')}`
}

function routeText(route: ApiRoute): string {
  const { name, summary, http } = route.definition
  const rest = membersOf(route)
  const members = rest === '' ? '' : ` Takes ${rest}.`
  return `\n**\`${http.method} ${http.path}\`** (${name}): ${summary}. ${guardOf(route)}${members}\n`
}

function guardOf(route: ApiRoute): string {
  if (route.kind === 'description') return 'Anybody may.'
  if (route.kind === 'open') return `Proves who asks: ${route.definition.authentication}.`
  const { right, isDangerous = false } = route.definition
  return `Right: \`${right}\`${isDangerous ? ', with a login of the last five minutes' : ''}.`
}

function membersOf(route: ApiRoute): string {
  const schema = inputOf(route)
  if (schema === undefined) return ''
  const { properties = {}, required = [] } = inputSchema(schema)
  const inPath = paramNames(route.definition.http.path)
  return Object.entries(properties)
    .filter(([name]) => !inPath.includes(name))
    .map(
      ([name, member]) =>
        `\`${name}\` (${typeText(member)}${required.includes(name) ? '' : ', may be left out'})`,
    )
    .join(', ')
}

function typeText(schema: JsonSchema): string {
  if (Array.isArray(schema.enum)) {
    const [first] = schema.enum
    if (schema.enum.length > 10) return `one of ${schema.enum.length} names, such as ${JSON.stringify(first)}`
    return schema.enum.map((one) => JSON.stringify(one)).join(' or ')
  }
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.type === 'array') return `list of ${typeText(schema.items ?? {})}`
  const { minimum = '', maximum } = schema
  const limits = maximum === undefined ? minimum : `${minimum} to ${maximum}`
  const type = [schema.type ?? 'one of several forms'].flat().join(' or ')
  return maximum === undefined && limits !== '' ? `${type} from ${limits}` : `${type} ${limits}`.trimEnd()
}

/** The text of docs/rights.md. */
export function rightsDocs(): string {
  const head = `| right | ${ROLES.join(' | ')} | used by |\n| --- | ${ROLES.map(() => '---').join(' | ')} | --- |\n`
  const rows = RIGHTS.map((right) => {
    const marks = ROLES.map((role) => (ROLE_RIGHTS[role].includes(right) ? 'yes' : ''))
    const uses = routes.flatMap((route) =>
      (route.kind === 'operation' || route.kind === 'stream') && route.definition.right === right
        ? [route.definition.name]
        : [],
    )
    const only = rolesWith(right).length === 0 ? ' (the operator only)' : ''
    return `| \`${right}\`${only} | ${marks.join(' | ')} | ${uses.join(', ')} |\n`
  })
  return `${RIGHTS_INTRODUCTION}${head}${rows.join('')}`
}

if (import.meta.main) {
  const docs = join(import.meta.dirname, '../docs')
  writeFileSync(join(docs, 'api.md'), apiDocs())
  writeFileSync(join(docs, 'rights.md'), rightsDocs())
}
