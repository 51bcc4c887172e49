import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { AUDIT_ACTIONS } from '../../relay/audit/actions.ts'

test('docs/audit.md has the line of every action, and no other', () => {
  const text = readFileSync(join(import.meta.dirname, '../../docs/audit.md'), 'utf8')
  const lines = text.split('\n').filter((line) => /^\| `[a-z]+\.[a-z]+` \|/.test(line))
  assert.deepEqual(
    lines,
    Object.entries(AUDIT_ACTIONS).map(([action, object]) => `| \`${action}\` | ${object} |`),
  )
})
