import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { OPEN_ROUTES } from '../../../relay/api/open-routes.ts'
import { RouteTable, routesOf } from '../../../relay/api/routes.ts'
import { STREAM_ROUTES } from '../../../relay/api/stream-routes.ts'
import { OPERATIONS } from '../../../relay/operations/list.ts'

const routes = routesOf({ operations: OPERATIONS, open: OPEN_ROUTES, streams: STREAM_ROUTES })
const table = new RouteTable(routes)
const PATH = '/tenants/acme/environments/test'

describe('the routes of the API', () => {
  it('are found by method and path, with the names that the path holds', () => {
    const { route, params } = table.find('DELETE', PATH)
    assert.equal(route.definition.name, 'environment.remove')
    assert.deepEqual(params, { tenant: 'acme', environment: 'test' })
    assert.equal(table.find('HEAD', '/tenants').route.definition.name, 'tenant.list')
    assert.equal(table.find('DELETE', '/tenants/a%20b').params.tenant, 'a b')
  })

  it('are each found by their own path, and have names of their own', () => {
    for (const route of routes) {
      const { method, path } = route.definition.http
      assert.equal(table.find(method, path.replace(/\{\w+\}/g, 'x')).route, route, `${method} ${path}`)
    }
    assert.equal(new Set(routes.map(({ definition }) => definition.name)).size, routes.length)
  })

  it('name in braces only what their input has', () => {
    for (const { kind, definition } of routes) {
      if (kind === 'description') continue
      const entries = Object.keys((definition.input as { entries?: object }).entries ?? {})
      for (const [, name = ''] of definition.http.path.matchAll(/\{(\w+)\}/g)) {
        assert.ok(entries.includes(name), `${definition.name}: ${name}`)
      }
    }
  })

  it('S05: have one spelling each', () => {
    const wrong = [
      ...[`${PATH}/`, `/${PATH}`, '/tenants//acme/environments/test', '/Tenants/acme/environments/test'],
      ...[
        '/tenants/%61cme/environments/test',
        '/tenants/acme%2Fenvironments/test',
        '/%74enants/acme/environments/test',
      ],
      ...[
        '/tenants/./acme/environments/test',
        '/tenants/x/../acme/environments/test',
        '/tenants/%2e%2e',
        '/tenants/..',
      ],
      ...['/tenants/acme\\environments', '', '/', 'tenants', '/tenants/%2E'],
    ]
    for (const path of wrong) {
      assert.throws(() => table.find('DELETE', path), { code: 'NOT_FOUND' }, path)
    }
  })

  it('S06: take nothing in a name that could leave its place', () => {
    for (const name of [
      '..%2f..%2fetc',
      '%00',
      'a%00b',
      '..%5c',
      '%2e%2e%2f',
      'a%0Ab',
      '%C0%AE',
      '%ff',
      'a%2fb',
      '%E2%80',
    ]) {
      assert.throws(() => table.find('DELETE', `/tenants/${name}`), { code: 'NOT_FOUND' }, name)
    }
    assert.throws(() => table.find('GET', '/tenants'.repeat(20)), { code: 'NOT_FOUND' })
  })

  it('say which methods a path takes', () => {
    assert.throws(() => table.find('PATCH', '/tenants'), { code: 'HTTP_METHOD' })
    assert.throws(() => table.find('get', '/tenants'), { code: 'HTTP_METHOD' })
    assert.equal(table.allow('/tenants'), 'GET, HEAD, POST')
    assert.equal(table.allow('/nothing'), '')
  })

  it('cannot be two of one method and path', () => {
    assert.throws(() => new RouteTable([...routes, ...routes]), RangeError)
  })
})
