import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { Turns } from '../../../relay/gateway/turns.ts'

describe('tasks that take turns', () => {
  it('run one at a time, in the order in which they came', async () => {
    const turns = new Turns()
    const log: string[] = []
    const task = (name: string) =>
      turns.run(async () => {
        log.push(`${name} begins`)
        await setImmediate()
        log.push(`${name} ends`)
        return name
      })
    assert.deepEqual(await Promise.all([task('a'), task('b')]), ['a', 'b'])
    assert.deepEqual(log, ['a begins', 'a ends', 'b begins', 'b ends'])
  })

  it('leave everything else its turn, however many they are', async () => {
    const turns = new Turns()
    let done = 0
    const all = Array.from({ length: 1_000 }, () => turns.run(async () => done++))
    await setImmediate()
    assert.ok(done > 0)
    assert.ok(done < 100, `${done} ran before anything else could`)
    await Promise.all(all)
    assert.equal(done, 1_000)
  })

  it('fail alone', async () => {
    const turns = new Turns()
    const bad = turns.run(() => Promise.reject(new Error('bad')))
    const good = turns.run(async () => 'good')
    await assert.rejects(bad, { message: 'bad' })
    assert.equal(await good, 'good')
  })
})
