import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseIp } from '../../../shared/policy/ip.ts'
import { ProxyHeaderReader, type ProxyHeaderView } from '../../../shared/wire/proxy-protocol.ts'
import { binaryHeader } from '../../support/proxy-header.ts'
import { withDamage } from '../damage.ts'
import type { FuzzTarget } from '../target.ts'

const address = fc.oneof(fc.ipV4(), fc.ipV6(), fc.constantFrom('', '::ffff:192.0.2.7', '1.2.3', '0'))
const port = fc.oneof(fc.nat(70_000).map(String), fc.constantFrom('', '00', '-1'))

const line = fc
  .tuple(fc.constantFrom('TCP4', 'TCP6', 'UNKNOWN', 'UDP4', ''), address, address, port, port)
  .map((fields) => Uint8Array.from(Buffer.from(`PROXY ${fields.join(' ')}\r\n`)))

const binary = fc
  .record({
    command: fc.constantFrom(0x21, 0x20, 0x22, 0x11),
    family: fc.constantFrom(0x11, 0x21, 0x00, 0x12, 0x31),
    addresses: fc.constantFrom(4, 5, 12, 36, 216).map((length) => 'c0'.repeat(length)),
    extensions: fc.array(
      fc.tuple(
        fc.nat(6),
        fc.uint8Array({ maxLength: 20 }).map((content) => Buffer.from(content)),
      ),
      { maxLength: 3 },
    ),
    hasChecksum: fc.boolean(),
  })
  .map((header) => Uint8Array.from(binaryHeader(header)))

/** Nothing of it may be taken for what follows. */
const followed = fc
  .tuple(fc.oneof(line, binary), fc.uint8Array({ maxLength: 30 }))
  .map(([header, rest]) => Uint8Array.from([...header, ...rest]))

/** What a proxy says before TLS: an address, none or a refusal, the same however it is cut; it never throws. */
export const proxyHeader: FuzzTarget = {
  name: 'proxy-header',
  inputs: withDamage(followed),
  check(bytes) {
    const whole = new ProxyHeaderReader().push(bytes)
    const single = new ProxyHeaderReader()
    let [last, end] = ['more' as ProxyHeaderView, 0]
    while (last === 'more' && end < bytes.length) last = single.push(bytes.subarray(end, ++end))
    assert.deepEqual(strip(last), strip(whole))
    if (whole === 'more') assert.ok(bytes.length < 16 + 4_096)
    if (whole === 'more' || 'refused' in whole) return
    assert.deepEqual(whole.rest, bytes.subarray(end))
    if (whole.source !== undefined) assert.ok(parseIp(whole.source) !== undefined)
  },
}

/** The answer without what follows. */
function strip(view: ProxyHeaderView): unknown {
  return typeof view === 'string' || 'refused' in view ? view : view.source
}
