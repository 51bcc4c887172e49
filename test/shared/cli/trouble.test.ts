import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Trouble, troubleLines } from '../../../shared/cli/trouble.ts'

const REFUSED: Trouble = {
  state: 'failing',
  leg: 'agent-target',
  what: 'hq/db',
  code: 'CONNECTION_REFUSED',
  since: Date.UTC(2027, 0, 1),
  text: '10.0.0.5:5432: ECONNREFUSED',
}

test('what is broken stands first: what, on which leg, since when, why, and what to do', () => {
  const warning: Trouble = { state: 'warn', leg: 'agent-target', what: 'hq/mail', text: 'TLS, soon over' }
  assert.deepEqual(troubleLines([warning, REFUSED]), [
    'BROKEN     hq/db: between the agent and its target, since 2027-01-01T00:00:00.000Z',
    '           CONNECTION_REFUSED: The target refused the connection. 10.0.0.5:5432: ECONNREFUSED',
    '           next  on the site: is the service running on the port of the rule?',
    'WARNING    hq/mail: between the agent and its target',
    '           TLS, soon over',
  ])
})

test('a better next step takes the place of that of the catalogue', () => {
  assert.equal(troubleLines([{ ...REFUSED, next: 'start it' }]).at(-1), '           next  start it')
})

test('more than a person can take in are counted', () => {
  const lines = troubleLines(
    Array.from({ length: 40 }, () => REFUSED),
    1_000,
  )
  assert.equal(lines.length, 30 * 3 + 1)
  assert.equal(lines.at(-1), '... and 1010 more')
  assert.deepEqual(troubleLines([]), [])
})
