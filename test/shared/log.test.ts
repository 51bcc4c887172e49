import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { createLog } from '../../shared/log.ts'

/** What `write` puts on a line, as it is read back. */
function logged(write: (log: ReturnType<typeof createLog>) => void): Record<string, unknown> {
  const lines: string[] = []
  write(createLog({ level: 'info', destination: { write: (line) => void lines.push(line) } }))
  assert.equal(lines.length, 1)
  return JSON.parse(lines[0] ?? '') as Record<string, unknown>
}

describe('a line of the log shows no secret', () => {
  for (const name of ['token', 'password', 'key', 'secret', 'authorization', 'cookie']) {
    test(`that stands in ${name}, or in ${name} of what stands in a field`, () => {
      const line = logged((log) =>
        log.info({ [name]: 'canary', headers: { [name]: 'canary', host: 'a' } }, 'm'),
      )
      assert.equal(line[name], '[redacted]')
      assert.deepEqual(line.headers, { [name]: '[redacted]', host: 'a' })
    })
  }

  test('that an error carries', () => {
    const err = Object.assign(new Error('no'), { password: 'canary', code: 'E' })
    const line = logged((log) => log.error({ err }, 'm'))
    assert.equal(JSON.stringify(line).includes('canary'), false)
    assert.equal((line.err as { message: string }).message, 'no')
    assert.equal((line.err as { code: string }).code, 'E')
  })

  test('that the binding of a child holds', () => {
    const line = logged((log) => log.child({ token: 'canary', id: 'a' }).info('m'))
    assert.deepEqual([line.token, line.id], ['[redacted]', 'a'])
  })

  test('and leaves alone what it was given', () => {
    const fields = { secret: 'canary', nested: { key: 'canary' } }
    logged((log) => log.info(fields, 'm'))
    assert.deepEqual(fields, { secret: 'canary', nested: { key: 'canary' } })
  })
})
