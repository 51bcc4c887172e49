import assert from 'node:assert/strict'
import { test } from 'node:test'
import { mapRoles, matchesPattern } from '../../../relay/sso/map-roles.ts'
import type { RoleRule } from '../../../relay/sso/provider.ts'

const rule = (claim: string, value: string, role: RoleRule['role'], environment?: string): RoleRule => ({
  ...{ claim, value, role, environment, site: undefined },
})

function rolesOf(rules: readonly RoleRule[], claims: object) {
  return mapRoles('acme', rules, { ...claims }).assignments.map(({ role }) => role)
}

test('every rule that matches gives its role, until one with none ends the list', () => {
  const rules = [
    rule('groups', 'dev', 'developer'),
    rule('groups', 'guests', 'none'),
    rule('groups', 'boss', 'owner'),
  ]
  assert.deepEqual(rolesOf(rules, { groups: ['boss', 'dev'] }), ['developer', 'owner'])
  assert.deepEqual(rolesOf(rules, { groups: ['boss', 'dev', 'guests'] }), ['developer'])
  assert.deepEqual(rolesOf(rules, { groups: [] }), [])
})

test('a rule says which one it was, and gives a role at a place once', () => {
  const rules = [rule('a', '1', 'auditor', 'test'), rule('b', '1', 'auditor', 'test')]
  const { assignments, rules: matched } = mapRoles('acme', rules, { a: 1, b: '1' })
  assert.deepEqual(matched, [1, 2])
  assert.deepEqual(assignments, [{ tenantId: 'acme', role: 'auditor', environment: 'test', site: undefined }])
})

test('a claim is a name, or the way to it as a JSON pointer', () => {
  const claims = { 'http://claims/role': 'x', realm: { 'a/b': { roles: ['deep'] } } }
  assert.deepEqual(rolesOf([rule('http://claims/role', 'x', 'auditor')], claims), ['auditor'])
  assert.deepEqual(rolesOf([rule('/realm/a~1b/roles', 'deep', 'auditor')], claims), ['auditor'])
  assert.deepEqual(rolesOf([rule('/realm/none/roles', '*', 'auditor')], claims), [])
})

test('what objects bring by themselves is no claim', () => {
  for (const claim of ['__proto__', 'constructor', '/constructor/name', 'toString']) {
    assert.deepEqual(rolesOf([rule(claim, '*', 'owner')], {}), [], claim)
  }
  assert.deepEqual(rolesOf([rule('groups', '*', 'owner')], { groups: { deep: 'x' } }), [])
})

test('a star stands for any characters, and everything else for itself', () => {
  for (const [text, pattern, expected] of [
    ['cn=ops,ou=eu', 'cn=*,ou=eu', true],
    ['cn=ops,ou=us', 'cn=*,ou=eu', false],
    ['ops', 'op.', false],
    ['', '*', true],
    ['', '', true],
    ['ops', 'OPS', false],
    ['aXbXc', 'a*X*c', true],
    ['ops-x', 'ops', false],
  ] as const) {
    assert.equal(matchesPattern(text, pattern), expected, `${text} ${pattern}`)
  }
})

test('a pattern and a text that are made to be slow are not', { timeout: 5_000 }, () => {
  assert.equal(matchesPattern('a'.repeat(1_024), `${'a*'.repeat(127)}b`), false)
  assert.equal(matchesPattern('a'.repeat(1_025), '*'), false)
})
