import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { MAX_UNSENT_BYTES, SendHalf } from '../../../shared/mux/send-half.ts'
import { createWindowBudget } from '../../../shared/mux/window.ts'
import { collectGarbage } from './garbage.ts'

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

function takeAll(half: SendHalf, max = 1_000): { offset: number; length: number; fin: boolean }[] {
  const pieces = []
  for (let piece = half.take(max); piece !== undefined; piece = half.take(max)) {
    assert.deepEqual(piece.bytes, pattern(piece.offset, piece.bytes.length))
    pieces.push({ offset: piece.offset, length: piece.bytes.length, fin: piece.fin })
  }
  return pieces
}

describe('a sending half', () => {
  test('sends no further than it was granted', () => {
    const half = new SendHalf(10, BUDGET)
    write(half, 25)
    assert.deepEqual(takeAll(half), [{ offset: 0, length: 10, fin: false }])
    assert.equal(half.isReady, false)
    half.credit(20, 0)
    assert.deepEqual(takeAll(half, 6), [
      { offset: 10, length: 6, fin: false },
      { offset: 16, length: 4, fin: false },
    ])
  })

  test('puts FIN on the last piece, or alone where the last piece has left', () => {
    const half = new SendHalf(100, BUDGET)
    write(half, 5)
    half.end()
    assert.deepEqual(takeAll(half, 3), [
      { offset: 0, length: 3, fin: false },
      { offset: 3, length: 2, fin: true },
    ])
    const late = new SendHalf(100, BUDGET)
    write(late, 5)
    takeAll(late)
    late.end()
    assert.equal(late.isReady, true)
    assert.deepEqual(takeAll(late), [{ offset: 5, length: 0, fin: true }])
    assert.equal(late.isReady, false)
  })

  test('sends FIN without any credit', () => {
    const half = new SendHalf(0, BUDGET)
    half.end()
    assert.deepEqual(takeAll(half), [{ offset: 0, length: 0, fin: true }])
  })

  test('holds FIN back while bytes before it wait for credit', () => {
    const half = new SendHalf(4, BUDGET)
    write(half, 5)
    half.end()
    assert.deepEqual(takeAll(half), [{ offset: 0, length: 4, fin: false }])
    half.credit(5, 0)
    assert.deepEqual(takeAll(half), [{ offset: 4, length: 1, fin: true }])
  })

  test('releases a chunk once it is consumed as a whole, and never before', () => {
    const half = new SendHalf(100, BUDGET)
    const released: string[] = []
    write(half, 5, () => released.push('a'))
    write(half, 5, () => released.push('b'))
    half.write(new Uint8Array(0), () => released.push('empty'))
    assert.deepEqual(released, ['empty'])
    takeAll(half)
    half.credit(100, 4)
    assert.deepEqual(released, ['empty'])
    half.credit(100, 9)
    assert.deepEqual(released, ['empty', 'a'])
    half.credit(100, 9)
    half.credit(90, 3)
    half.drop()
    assert.deepEqual(released, ['empty', 'a', 'b'])
  })

  test('goes back to a kept offset, and sends FIN once more', () => {
    const half = new SendHalf(100, BUDGET)
    write(half, 10)
    half.end()
    takeAll(half)
    half.resume(7)
    assert.deepEqual(takeAll(half), [{ offset: 7, length: 3, fin: true }])
    half.resume(10)
    assert.deepEqual(takeAll(half), [{ offset: 10, length: 0, fin: true }])
  })

  test('refuses to go forward to what was never sent', () => {
    const half = new SendHalf(5, BUDGET)
    write(half, 10)
    takeAll(half)
    half.credit(5, 3)
    for (const offset of [6, 10]) assert.throws(() => half.resume(offset), { code: 'PROTOCOL' })
    assert.equal(half.isReady, false)
  })

  test('goes back no further than to what is not consumed: a CREDIT may overtake the request', () => {
    const half = new SendHalf(5, BUDGET)
    write(half, 10)
    takeAll(half)
    half.credit(5, 3)
    half.resume(2)
    assert.deepEqual(takeAll(half), [{ offset: 3, length: 2, fin: false }])
  })

  test('refuses a CREDIT of bytes that were never sent, and changes nothing', () => {
    const half = new SendHalf(5, BUDGET)
    let released = 0
    write(half, 10, () => released++)
    takeAll(half)
    assert.throws(() => half.credit(100, 6), { code: 'FLOW_CONTROL' })
    assert.throws(() => half.credit(4, 5), { code: 'PROTOCOL' })
    assert.equal(half.isReady, false)
    assert.equal(half.keptBytes, 10)
    assert.equal(released, 0)
  })

  test('does not send again what a CREDIT covers after it went back', () => {
    const half = new SendHalf(100, BUDGET)
    write(half, 10)
    takeAll(half)
    half.resume(2)
    half.credit(100, 8)
    assert.deepEqual(takeAll(half), [{ offset: 8, length: 2, fin: false }])
  })

  test('is cut behind what was sent: the rest is released, FIN follows', () => {
    const half = new SendHalf(7, BUDGET)
    const released: string[] = []
    write(half, 5, () => released.push('a'))
    write(half, 5, () => released.push('b'))
    write(half, 5, () => released.push('c'))
    takeAll(half)
    half.cut()
    assert.deepEqual(released, ['c'])
    assert.equal(half.endOffset, 7)
    assert.deepEqual(takeAll(half), [{ offset: 7, length: 0, fin: true }])
    half.resume(4)
    assert.deepEqual(takeAll(half), [
      { offset: 4, length: 1, fin: false },
      { offset: 5, length: 2, fin: true },
    ])
    half.credit(7, 7)
    assert.deepEqual(released, ['c', 'a', 'b'])
  })

  test('is cut where nothing was sent, or all of it', () => {
    const fresh = new SendHalf(0, BUDGET)
    let released = 0
    write(fresh, 5, () => released++)
    fresh.cut()
    assert.equal(released, 1)
    assert.deepEqual(takeAll(fresh), [{ offset: 0, length: 0, fin: true }])
    const sent = new SendHalf(100, BUDGET)
    write(sent, 5)
    takeAll(sent)
    sent.cut()
    assert.deepEqual(takeAll(sent), [{ offset: 5, length: 0, fin: true }])
  })

  test('sends again all that was sent when it is cut after it went back', () => {
    const half = new SendHalf(8, BUDGET)
    write(half, 5)
    write(half, 20)
    takeAll(half)
    half.resume(1)
    half.cut()
    assert.deepEqual(takeAll(half), [
      { offset: 1, length: 4, fin: false },
      { offset: 5, length: 3, fin: true },
    ])
  })

  test('has room for its grant and for no more than 256 KiB unsent', () => {
    const half = new SendHalf(1_000, BUDGET)
    assert.equal(half.room, 1_000)
    write(half, 1_200)
    assert.equal(half.room, -200)
    half.credit(10_000_000, 0)
    assert.equal(half.room, MAX_UNSENT_BYTES - 1_200)
    takeAll(half, 16_000)
    half.credit(10_000_000, 1_200)
    assert.equal(half.room, MAX_UNSENT_BYTES)
  })

  test('takes nothing after its end', () => {
    const half = new SendHalf(10, BUDGET)
    half.end()
    assert.throws(() => half.write(pattern(0, 1)), { code: 'INTERNAL' })
  })

  test('lets go of the memory of what was consumed', async () => {
    const half = new SendHalf(1_000, BUDGET)
    const reference = writeAndConsume(half)
    await collectGarbage()
    assert.equal(reference.deref(), undefined)
    write(half, 5)
    assert.deepEqual(takeAll(half), [{ offset: 10, length: 5, fin: false }])
  })
})

function writeAndConsume(half: SendHalf): WeakRef<Uint8Array> {
  const bytes = pattern(0, 10)
  half.write(bytes)
  takeAll(half)
  half.credit(1_000, 10)
  return new WeakRef(bytes)
}
