import assert from 'node:assert/strict'
import fc from 'fast-check'
import { ClientHelloReader, MAX_CLIENT_HELLO_BYTES } from '../../../shared/wire/client-hello.ts'
import { withDamage } from '../damage.ts'
import type { FuzzTarget } from '../target.ts'

function vector(width: 1 | 2 | 3, bytes: readonly number[]): number[] {
  const { length } = bytes
  return [...[length >>> 16, length >>> 8, length].slice(3 - width).map((byte) => byte & 0xff), ...bytes]
}

const extension = fc.oneof(
  fc.string({ maxLength: 70 }).map((name) => {
    const list = vector(2, [0, ...vector(2, [...Buffer.from(name, 'latin1')])])
    return [0, 0, ...vector(2, list)]
  }),
  fc
    .tuple(fc.nat(0xffff), fc.uint8Array({ maxLength: 20 }))
    .map(([type, content]) => [type >>> 8, type & 0xff, ...vector(2, [...content])]),
)

const hello = fc
  .record({
    sessionId: fc.uint8Array({ maxLength: 33 }),
    extensions: fc.array(extension, { maxLength: 5 }),
    record: fc.integer({ min: 1, max: 600 }),
  })
  .map(({ sessionId, extensions, record }) => {
    const body = [3, 3, ...Array<number>(32).fill(7), ...vector(1, [...sessionId]), 0, 2, 0x13, 1, 1, 0]
    const message = [1, ...vector(3, [...body, ...vector(2, extensions.flat())])]
    const records: number[] = []
    for (let at = 0; at < message.length; at += record) {
      records.push(22, 3, 1, ...vector(2, message.slice(at, at + record)))
    }
    return Uint8Array.from(records)
  })

/** The first bytes of a TLS connection: a name, no name or no TLS, the same however they are cut; it never throws. */
export const clientHello: FuzzTarget = {
  name: 'client-hello',
  inputs: withDamage(hello),
  check(bytes) {
    const view = new ClientHelloReader().push(bytes)
    const single = new ClientHelloReader()
    for (const byte of bytes) single.push(Uint8Array.of(byte))
    assert.deepEqual(single.push(new Uint8Array(0)), view)
    if (bytes.length >= MAX_CLIENT_HELLO_BYTES) assert.notEqual(view, 'more')
    if (typeof view === 'string' || view.serverName === undefined) return
    assert.match(view.serverName, /^[!-@[-~]{1,255}$/)
  },
}
