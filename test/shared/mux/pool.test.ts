import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Pool, type PoolLimits } from '../../../shared/mux/pool.ts'

/** A pool of numbers, and how many it has made. */
function counted(limits: PoolLimits) {
  let made = 0
  const pool = new Pool(() => ++made, limits)
  return { pool, made: () => made }
}

describe('a pool of memory', () => {
  it('gives what was given back before it makes anything', () => {
    const { pool, made } = counted({ least: 2, most: 8 })
    const one = pool.take()
    pool.giveBack(one)
    assert.equal(pool.take(), one)
    assert.equal(made(), 1)
  })

  it('makes nothing anew while transfers go up and down between a quarter and all of what they use', () => {
    const { pool, made } = counted({ least: 2, most: 1_000 })
    const out = Array.from({ length: 400 }, () => pool.take())
    for (let round = 0; round < 10; round++) {
      for (const one of out.splice(0, 300)) pool.giveBack(one)
      while (out.length < 400) out.push(pool.take())
    }
    assert.equal(made(), 400)
  })

  it('keeps little once all has come back', () => {
    const { pool } = counted({ least: 2, most: 1_000 })
    const out = Array.from({ length: 400 }, () => pool.take())
    for (const one of out) pool.giveBack(one)
    assert.equal(pool.kept, 2)
  })

  it('keeps no more than its limit, whatever is out', () => {
    const { pool } = counted({ least: 2, most: 8 })
    const out = Array.from({ length: 400 }, () => pool.take())
    for (const one of out.splice(0, 100)) pool.giveBack(one)
    assert.equal(pool.kept, 8)
  })
})
