import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { holds, sees } from '../../../relay/access/authorize.ts'
import { RIGHTS, ROLE_RIGHTS, ROLES } from '../../../relay/access/rights.ts'
import type { Assignment, Caller } from '../../../relay/operations/operation.ts'

const HOME = { tenantId: 'acme', environment: 'test', site: 'hq' }

function caller(via: 'session' | 'api', ...assignments: Assignment[]): Caller {
  return { kind: 'person', id: 'p1', tenantId: 'acme', assignments, via, authenticatedAt: 0 }
}

describe('a right', () => {
  it('is held by the roles of the table and by no other', () => {
    for (const role of ROLES) {
      const one = caller('session', { tenantId: 'acme', role })
      for (const right of RIGHTS) {
        assert.equal(holds(one, right, HOME, false), ROLE_RIGHTS[role].includes(right), `${role} ${right}`)
      }
    }
  })

  it('holds for all within its place and for nothing beside or above it', () => {
    const one = caller('session', { tenantId: 'acme', environment: 'test', role: 'owner' })
    assert.equal(holds(one, 'sites:read', HOME, false), true)
    assert.equal(holds(one, 'sites:read', { ...HOME, environment: 'production' }, false), false)
    assert.equal(holds(one, 'sites:read', { tenantId: 'acme' }, false), false)
    const ofSite = caller('session', { ...HOME, role: 'owner' })
    assert.equal(holds(ofSite, 'sites:read', HOME, false), true)
    assert.equal(holds(ofSite, 'sites:read', { ...HOME, site: 'berlin' }, false), false)
  })

  it('reaches into no other tenant, whatever an assignment says', () => {
    const one = caller('session', { tenantId: 'other', role: 'owner' })
    assert.equal(holds(one, 'sites:read', { tenantId: 'other' }, false), false)
    assert.equal(sees(one, { tenantId: 'other' }), false)
  })

  it('of the relay as a whole is the operator’s alone', () => {
    assert.equal(
      holds(caller('session', { tenantId: 'acme', role: 'owner' }), 'relay:read', undefined, false),
      false,
    )
    assert.equal(holds({ kind: 'operator' }, 'relay:read', undefined, true), true)
  })
})

describe('what a program does in production', () => {
  const production = { tenantId: 'acme', environment: 'production' }
  const role = 'operator'

  it('takes an assignment that is marked for it', () => {
    const unmarked = { tenantId: 'acme', role } as const
    assert.equal(holds(caller('api', unmarked), 'sites:read', production, true), false)
    assert.equal(holds(caller('api', unmarked), 'sites:read', HOME, false), true)
    assert.equal(holds(caller('session', unmarked), 'sites:read', production, true), true)
    assert.equal(holds(caller('api', { ...unmarked, viaApi: true }), 'sites:read', production, true), true)
  })

  it('is not allowed by the mark of another role or place', () => {
    const weak = { tenantId: 'acme', role: 'developer', viaApi: true } as const
    assert.equal(
      holds(caller('api', { tenantId: 'acme', role }, weak), 'sites:write', production, true),
      false,
    )
    const elsewhere = { tenantId: 'acme', environment: 'test', role, viaApi: true } as const
    assert.equal(
      holds(caller('api', { tenantId: 'acme', role }, elsewhere), 'sites:write', production, true),
      false,
    )
  })
})
