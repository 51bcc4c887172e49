import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { Validator } from '@seriousme/openapi-schema-validator'
import { apiDocs, rightsDocs } from '../../../build/api-docs.ts'
import { ROLE_RIGHTS } from '../../../relay/access/rights.ts'
import { OPEN_ROUTES } from '../../../relay/api/open-routes.ts'
import { openApiText, rolesWith } from '../../../relay/api/openapi.ts'
import { routesOf } from '../../../relay/api/routes.ts'
import { STREAM_ROUTES } from '../../../relay/api/stream-routes.ts'
import { OPERATIONS } from '../../../relay/operations/list.ts'

const routes = routesOf({ operations: OPERATIONS, open: OPEN_ROUTES, streams: STREAM_ROUTES })
const text = openApiText(routes)

interface Described {
  readonly operationId: string
  readonly security?: readonly object[]
  readonly parameters?: readonly { readonly name: string; readonly in: string }[]
  readonly requestBody?: {
    readonly content: Readonly<Record<string, { readonly schema: { readonly properties?: object } }>>
  }
  readonly responses: Readonly<Record<string, object>>
  readonly 'x-sallyport-right'?: string
  readonly 'x-sallyport-roles'?: readonly string[]
}

const paths = (JSON.parse(text) as { paths: Record<string, Record<string, Described>> }).paths

describe('the OpenAPI document', () => {
  it('holds against the schema of OpenAPI 3.1', async () => {
    const validator = new Validator()
    const { valid, errors } = await validator.validate(JSON.parse(text))
    assert.deepEqual([valid, errors, validator.version], [true, undefined, '3.1'])
  })

  it('describes every route, with who may and what it refuses with', () => {
    for (const { kind, definition } of routes) {
      const { method, path } = definition.http
      const described = paths[path]?.[method.toLowerCase()]
      assert.equal(described?.operationId, definition.name)
      for (const status of ['404', '429', '500', 'default'])
        assert.ok(described.responses[status], definition.name)
      if (kind === 'operation' || kind === 'stream') {
        assert.equal(described['x-sallyport-right'], definition.right)
        assert.deepEqual(described['x-sallyport-roles'], rolesWith(definition.right))
        assert.equal(described.security, undefined)
        assert.ok(described.responses['401'] && described.responses['403'])
      } else assert.deepEqual(described.security, [])
    }
    const count = Object.values(paths).flatMap((of) => Object.keys(of)).length
    assert.equal(count, routes.length)
  })

  it('says that whatever has a tag may be answered by 304', () => {
    for (const { kind, definition } of routes) {
      const { method, path } = definition.http
      const described = paths[path]?.[method.toLowerCase()]
      const isTagged = method === 'GET' && (kind === 'operation' || kind === 'description')
      assert.equal(described?.responses['304'] !== undefined, isTagged, definition.name)
      const names = (described?.parameters ?? []).map(({ name }) => name)
      assert.equal(names.includes('If-None-Match'), isTagged, definition.name)
    }
  })

  it('puts each member of an input in one place', () => {
    for (const { kind, definition } of routes) {
      if (kind === 'description') continue
      const { method, path } = definition.http
      const described = paths[path]?.[method.toLowerCase()]
      const names = (described?.parameters ?? []).filter((one) => one.in !== 'header').map(({ name }) => name)
      const [content] = Object.values(described?.requestBody?.content ?? {})
      names.push(...Object.keys(content?.schema.properties ?? {}))
      const expected = Object.keys((definition.input as { entries?: object }).entries ?? {})
      if (expected.length > 0) assert.deepEqual(names.sort(), expected.sort(), definition.name)
    }
  })

  it('takes the roles of a right from the one table', () => {
    for (const [role, rights] of Object.entries(ROLE_RIGHTS)) {
      for (const right of rights) assert.ok(rolesWith(right).includes(role))
    }
  })
})

describe('the pages made from the same tables', () => {
  const page = (name: string) => readFileSync(join(import.meta.dirname, '../../../docs', name), 'utf8')

  it('are what npm run docs makes', () => {
    assert.equal(page('api.md'), apiDocs(), 'docs/api.md: npm run docs')
    assert.equal(page('rights.md'), rightsDocs(), 'docs/rights.md: npm run docs')
  })
})
