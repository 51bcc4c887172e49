import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import { SendHalf } from '../../../shared/mux/send-half.ts'
import { createWindowBudget } from '../../../shared/mux/window.ts'

const BUDGET = createWindowBudget(1 << 30)

/** Byte number `offset` of every stream in these tests. */
function byteAt(offset: number): number {
  return (offset * 7 + (offset >> 8)) & 0xff
}

function pattern(from: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, index) => byteAt(from + index))
}

function write(half: SendHalf, length: number, release?: () => void): void {
  half.write(pattern(half.endOffset, length), release)
}

type Step =
  | { kind: 'write'; length: number }
  | { kind: 'end' | 'cut' | 'drop' }
  | { kind: 'take'; max: number }
  | { kind: 'credit'; grant: number; consumed: number }
  | { kind: 'resume'; share: number }

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant('write' as const), length: fc.nat(60) }) },
  {
    weight: 6,
    arbitrary: fc.record({ kind: fc.constant('take' as const), max: fc.integer({ min: 1, max: 50 }) }),
  },
  {
    weight: 4,
    arbitrary: fc.record({ kind: fc.constant('credit' as const), grant: fc.nat(300), consumed: fc.nat(300) }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant('resume' as const), share: fc.nat(300) }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constantFrom('end' as const, 'cut' as const) }) },
)

/** All that a sending half has to remember, in plain numbers. */
interface Model {
  end: number
  next: number
  highest: number
  consumed: number
  limit: number
  finQueued: boolean
  finSent: boolean
  chunks: { end: number; released: number }[]
}

function expectRefusal(code: string, act: () => void): void {
  try {
    act()
  } catch (error) {
    assert.ok(isTunnelError(error))
    assert.equal(error.code, code)
    return
  }
  assert.fail(`expected ${code}`)
}

function applyStep(half: SendHalf, model: Model, action: Step): void {
  switch (action.kind) {
    case 'write': {
      if (model.finQueued) return
      const chunk = { end: model.end + action.length, released: 0 }
      write(half, action.length, () => chunk.released++)
      model.end = chunk.end
      model.chunks.push(chunk)
      return
    }
    case 'end':
      half.end()
      model.finQueued = true
      return
    case 'cut':
      half.cut()
      model.end = model.highest
      model.finQueued = true
      return
    case 'take':
      applyTake(half, model, action.max)
      return
    case 'credit':
      applyCredit(half, model, action)
      return
    case 'resume':
      if (action.share > model.highest) {
        expectRefusal('PROTOCOL', () => half.resume(action.share))
        return
      }
      half.resume(action.share)
      model.next = Math.max(action.share, model.consumed)
      model.finSent = false
      return
    case 'drop':
      half.drop()
  }
}

function applyTake(half: SendHalf, model: Model, max: number): void {
  const piece = half.take(max)
  const most = Math.min(model.end, model.limit) - model.next
  if (most <= 0) {
    const finDue = model.finQueued && !model.finSent && model.next === model.end
    assert.equal(piece !== undefined, finDue)
    if (piece === undefined) return
    assert.deepEqual([piece.offset, piece.bytes.length, piece.fin], [model.end, 0, true])
    model.finSent = true
    return
  }
  assert.ok(piece !== undefined && piece.bytes.length > 0 && piece.bytes.length <= Math.min(max, most))
  assert.equal(piece.offset, model.next)
  assert.deepEqual(piece.bytes, pattern(piece.offset, piece.bytes.length))
  model.next += piece.bytes.length
  model.highest = Math.max(model.highest, model.next)
  const fin = model.finQueued && !model.finSent && model.next === model.end
  assert.equal(piece.fin, fin)
  if (fin) model.finSent = true
}

function applyCredit(
  half: SendHalf,
  model: Model,
  { grant, consumed }: { grant: number; consumed: number },
): void {
  if (consumed > model.highest) {
    expectRefusal('FLOW_CONTROL', () => half.credit(grant, consumed))
    return
  }
  if (grant < consumed) {
    expectRefusal('PROTOCOL', () => half.credit(grant, consumed))
    return
  }
  half.credit(grant, consumed)
  model.limit = Math.max(model.limit, grant)
  model.consumed = Math.max(model.consumed, consumed)
  if (model.next < model.consumed) {
    model.next = model.consumed
    model.finSent = false
  }
}

function checkAgainst(half: SendHalf, model: Model): void {
  assert.equal(half.endOffset, model.end)
  assert.equal(half.keptBytes, model.end - model.consumed)
  const finDue = model.finQueued && !model.finSent && model.next === model.end
  assert.equal(half.isReady, model.next < Math.min(model.end, model.limit) || finDue)
  for (const chunk of model.chunks) {
    const start = model.chunks[model.chunks.indexOf(chunk) - 1]?.end ?? 0
    // A chunk is over when it is consumed, or cut away before any byte of it left.
    const isOver =
      Math.min(chunk.end, model.end) <= model.consumed || (start >= model.end && chunk.end > start)
    assert.equal(chunk.released, isOver || chunk.end === start ? 1 : 0, `chunk that ends at ${chunk.end}`)
  }
}

describe('beside a model of plain numbers', () => {
  test('any order of steps gives the same pieces, refusals and releases', () => {
    fc.assert(
      fc.property(fc.nat(100), fc.array(step, { maxLength: 60 }), (limit, steps) => {
        const half = new SendHalf(limit, BUDGET)
        const model: Model = {
          end: 0,
          next: 0,
          highest: 0,
          consumed: 0,
          limit,
          finQueued: false,
          finSent: false,
          chunks: [],
        }
        for (const action of steps) {
          applyStep(half, model, action)
          checkAgainst(half, model)
        }
        half.drop()
        for (const chunk of model.chunks) assert.equal(chunk.released, 1)
      }),
      { numRuns: 2_000 },
    )
  })

  test('a chunk of which everything that was sent is consumed is free once the rest is cut off', () => {
    const half = new SendHalf(23, BUDGET)
    let released = 0
    write(half, 24, () => released++)
    half.take(23)
    half.credit(23, 23)
    assert.equal(released, 0)
    half.cut()
    assert.equal(released, 1)
  })

  test('hundreds of chunks are consumed and shifted away without losing the place', () => {
    const half = new SendHalf(1_000_000, BUDGET)
    let released = 0
    for (let count = 0; count < 500; count++) write(half, 10, () => released++)
    let at = 0
    for (let piece = half.take(7); piece !== undefined; piece = half.take(7)) {
      assert.deepEqual(piece.bytes, pattern(at, piece.bytes.length))
      at += piece.bytes.length
      half.credit(1_000_000, Math.max(0, at - 300))
      assert.equal(released, Math.floor(Math.max(0, at - 300) / 10))
    }
    assert.equal(at, 5_000)
  })
})
