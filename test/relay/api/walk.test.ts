import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import * as v from 'valibot'
import { type Right, ROLE_RIGHTS, ROLES, type Role } from '../../../relay/access/rights.ts'
import { inputSchema } from '../../../relay/api/json-schema.ts'
import { OPEN_ROUTES } from '../../../relay/api/open-routes.ts'
import { type ApiRoute, routesOf } from '../../../relay/api/routes.ts'
import { STREAM_ROUTES } from '../../../relay/api/stream-routes.ts'
import { ROUTES, UPGRADES } from '../../../relay/gateway/routes.ts'
import { OPERATIONS } from '../../../relay/operations/list.ts'
import { remoteRequest } from '../../../relay/remote-request.ts'
import { type ApiAnswer, type ApiKit, startApiKit } from '../../support/api-kit.ts'
import { sampleMembers } from '../../support/sample-input.ts'

/**
 * Goes through every route of the API with every role and without any. What is expected is worked out from the table of
 * roles and the places that operations name, so a route or a right that is added is walked without a word here.
 */
const routes = routesOf({ operations: OPERATIONS, open: OPEN_ROUTES, streams: STREAM_ROUTES })
type Guarded = Extract<ApiRoute, { kind: 'operation' | 'stream' }>
const guarded = routes.filter(
  (route): route is Guarded => route.kind === 'operation' || route.kind === 'stream',
)

/** Names that exist nowhere, but for the tenant: whoever may, gets as far as the operation and no further. */
function pathOf({ definition }: ApiRoute, tenant: string): string {
  return definition.http.path.replaceAll('{tenant}', tenant).replace(/\{\w+\}/g, 'n0b0dy')
}

let api: ApiKit

before(async () => {
  api = await startApiKit()
  await api.kit.command('tenant.add', { tenant: 'other' })
})

after(() => api[Symbol.asyncDispose]())

describe('S05: without a login', () => {
  it('every route of the API answers 401, in whatever spelling 401, 404 or 405', async () => {
    for (const route of guarded) {
      const { method } = route.definition.http
      const path = pathOf(route, 'default')
      const answer = await api.ask(method, path)
      assert.deepEqual([answer.status, answer.body.code], [401, 'LOGIN'], `${method} ${path}`)
      assert.equal(answer.headers['www-authenticate'], 'Bearer realm="sallyport"')
    }
  })

  it('no other spelling of a path reaches anything', async () => {
    const [first] = guarded
    assert.ok(first !== undefined)
    const path = pathOf(first, 'default')
    const spellings = [
      ...[`!/api/v1${path}/`, `!/api/v1/${path}`, `!//api/v1${path}`, `!/api//v1${path}`, `!/API/v1${path}`],
      ...[
        `!/api/V1${path}`,
        `!/api/v1/.${path}`,
        `!/api/v1/%2e${path}`,
        `!/api/v1/x/..${path}`,
        `!/%61pi/v1${path}`,
      ],
      ...[
        '!/api',
        '!/api/',
        '!/api/v1',
        '!/api/v1/',
        '!/api/v2/tenants',
        '!/healthz/',
        '!/healthz?x',
        '!/HEALTHZ',
        '!/v1/enroll/',
      ],
    ]
    for (const spelling of spellings) {
      for (const method of ['GET', 'POST']) {
        const answer = await api.ask(method, spelling)
        assert.deepEqual([answer.status, answer.body.code], [404, 'NOT_FOUND'], `${method} ${spelling}`)
      }
    }
  })

  it('no header turns a method or a path into another', async () => {
    const headers = {
      ...{ 'x-http-method-override': 'DELETE', 'x-method-override': 'DELETE', 'x-http-method': 'DELETE' },
      ...{
        'x-original-url': '/healthz',
        'x-rewrite-url': '/healthz',
        'x-forwarded-prefix': '/x',
        forwarded: 'for=127.0.0.1',
      },
    }
    assert.equal((await api.ask('POST', '/tenants', { headers })).status, 401)
    const token = api.callers.withRole('owner')
    const answer = await api.ask('POST', '/tenants/default/environments/test', { token, headers })
    assert.deepEqual([answer.status, answer.headers.allow], [405, 'DELETE'])
  })

  it('only the routes of the table answer under the relay’s own name, each by its own method', async () => {
    for (const [path, { method, authentication }] of ROUTES) {
      const other = method === 'GET' ? 'POST' : 'GET'
      assert.equal((await api.ask(other, `!${path}`)).status, 404, path)
      if (authentication === 'none') continue
      const answer = await api.ask(method, `!${path}`, { body: {} })
      assert.ok([400, 401, 403].includes(answer.status), `${path}: ${answer.status}`)
    }
  })

  it('no upgrade path opens', async () => {
    const upgrade = {
      ...{ connection: 'Upgrade', upgrade: 'websocket', 'sec-websocket-version': '13' },
      ...{ 'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==', 'sec-websocket-protocol': 'sallyport.1' },
    }
    for (const [path, { use }] of UPGRADES) {
      // Who it is stands in the greeting, after the upgrade; test/agent and test/security look at that.
      if (use === 'signed') continue
      assert.equal((await api.ask('GET', `!${path}`, { headers: upgrade })).status, 401, path)
    }
    for (const path of [
      '/v1/agent/',
      '/V1/agent',
      '//v1/agent',
      '/v1/%61gent',
      '/api/v1/tenants',
      '/healthz',
    ]) {
      assert.equal((await api.ask('GET', `!${path}`, { headers: upgrade })).status, 404, path)
    }
  })
})

describe('every role', () => {
  for (const role of ROLES) {
    it(`${role} may what the table says, at home and nowhere else`, async () => {
      const token = api.callers.withRole(role)
      const wrong: string[] = []
      for (const route of guarded) wrong.push(...(await faultOf(route, role, token)))
      assert.deepEqual(wrong, [])
    })
  }

  it('without the second factor that its tenant demands reaches the own account only', async () => {
    const token = api.callers.add('weak', [], { lacksSecondFactor: true })
    const wrong: string[] = []
    for (const route of guarded) {
      const { right, name } = route.definition
      const { answer, place } = await reach(route, 'default', token)
      const code = codeOf(answer)
      // The answer to HEAD has no body to name the code.
      const refusal = route.kind === 'stream' ? 'FORBIDDEN' : 'SECOND_FACTOR'
      const expected = place?.tenantId === 'default' ? refusal : 'NOT_FOUND'
      if (right === 'self' ? !isReached(code, right) : code !== expected)
        wrong.push(`${name}: ${answer.text}`)
    }
    assert.deepEqual(wrong, [])
  })

  it('of another tenant gets the same answer as for a made-up one', async () => {
    const token = api.callers.withRole('owner')
    const wrong: string[] = []
    for (const route of guarded) {
      const { answer: other, place } = await reach(route, 'other', token)
      if (place?.tenantId !== 'other') continue
      const { answer: random } = await reach(route, 'n0where', token)
      const [one, two] = [other, random].map(({ status, body }) =>
        JSON.stringify({ status, ...body, traceId: '' }),
      )
      if (one !== two || other.status !== 404) wrong.push(`${route.definition.name}: ${one}, ${two}`)
    }
    assert.deepEqual(wrong, [])
  })
})

/** What says that the operation was not asked. Its input is right, so INPUT is what it says itself. */
const NOT_REACHED: ReadonlySet<string> = new Set([
  'FORBIDDEN',
  'LOGIN',
  'LOGIN_AGAIN',
  'INTERNAL',
  'HTTP_METHOD',
])

/** The callers of these tests are in no list of people, which what is about oneself finds out by itself. */
function isReached(code: string, right: Right): boolean {
  return right === 'self' ? code !== 'INTERNAL' : !NOT_REACHED.has(code)
}

/** The code of an answer; HEAD, by which streams are asked, has none but its status. */
function codeOf({ status, body }: ApiAnswer): string {
  return String(body.code ?? { 401: 'LOGIN', 403: 'FORBIDDEN', 404: 'NOT_FOUND' }[status] ?? status)
}

/** What is wrong with the answer of a route to a role, if anything. */
async function faultOf(route: Guarded, role: Role, token: string): Promise<string[]> {
  const { right, name } = route.definition
  const { answer, place } = await reach(route, 'default', token)
  const code = codeOf(answer)
  if (place?.tenantId === 'default' && ROLE_RIGHTS[role].includes(right)) {
    return isReached(code, right) ? [] : [`${name} is refused to ${role}: ${answer.text}`]
  }
  const expected = place?.tenantId === 'default' ? 'FORBIDDEN' : 'NOT_FOUND'
  return code === expected ? [] : [`${name} for ${role}: ${code} instead of ${expected}: ${answer.text}`]
}

/** Asks with the smallest input that the schema takes, so that nothing but the right decides. */
async function reach({ kind, definition }: Guarded, tenant: string, token: string) {
  const { method, path } = definition.http
  const sample = sampleMembers(inputSchema(definition.input))
  if (path.includes('{tenant}')) sample.tenant = tenant
  const parsed = v.safeParse(definition.input, sample)
  if (!parsed.success) {
    throw new Error(`${definition.name}: no sample of ${v.getDotPath(parsed.issues[0])}`)
  }
  const place = definition.place(parsed.output)
  const request = remoteRequest(definition, sample)
  // A stream that may be heard would not end.
  const asked = kind === 'stream' ? 'HEAD' : method
  const body = method === 'GET' ? {} : { body: request.body ?? {} }
  return { place, answer: await api.ask(asked, `!${request.path}`, { token, ...body }) }
}
