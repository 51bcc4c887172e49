import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import { OPCODE, WebSocketReader, writeHead } from '../../../shared/wire/websocket.ts'
import { withDamage } from '../damage.ts'
import type { FuzzTarget } from '../target.ts'

/** What a reader told, in order; the end of it is `refused` or `open`. */
function tellings(pieces: readonly Uint8Array[], isMasked: boolean): string[] {
  const told: string[] = []
  let message = ''
  const reader = new WebSocketReader(
    {
      payload(bytes) {
        message += Buffer.from(bytes).toString('hex')
      },
      messageEnd() {
        told.push(`message ${message}`)
        message = ''
      },
      ping(bytes) {
        assert.ok(bytes.length <= 125)
        told.push(`ping ${Buffer.from(bytes).toString('hex')}`)
      },
      close(code) {
        assert.ok(code >= 1000 && code <= 4999)
        told.push(`close ${code}`)
      },
    },
    isMasked,
  )
  try {
    for (const piece of pieces) reader.push(piece)
  } catch (error) {
    assert.ok(isTunnelError(error) && error.code === 'PROTOCOL', String(error))
    return [...told, 'refused']
  }
  return [...told, `open ${message}`]
}

const opcode = fc.oneof(fc.constantFrom(...Object.values(OPCODE)), fc.nat(15))

const frame = fc
  .record({
    opcode,
    isMasked: fc.boolean(),
    mask: fc.uint8Array({ minLength: 4, maxLength: 4 }),
    payload: fc.uint8Array({ maxLength: 140, size: 'max' }),
  })
  .map(({ opcode: kind, isMasked, mask, payload }) => {
    const bytes = new Uint8Array((payload.length < 126 ? 2 : 4) + (isMasked ? 4 : 0) + payload.length)
    writeHead(bytes, 0, kind, payload.length, isMasked ? mask : undefined)
    bytes.set(payload, bytes.length - payload.length)
    return bytes
  })

/** RFC 6455 frames as relay, agent and connector read them: the same however they are cut, PROTOCOL or a meaning. */
export const websocket: FuzzTarget = {
  name: 'websocket',
  inputs: withDamage(
    fc.array(frame, { maxLength: 8 }).map((frames) => Uint8Array.from(Buffer.concat(frames))),
  ),
  check(bytes) {
    for (const isMasked of [false, true]) {
      // Each reading unmasks in place, so each gets bytes of its own.
      const whole = tellings([bytes.slice()], isMasked)
      const single = tellings(
        Array.from(bytes, (byte) => Uint8Array.of(byte)),
        isMasked,
      )
      assert.deepEqual(single, whole)
    }
  },
}
