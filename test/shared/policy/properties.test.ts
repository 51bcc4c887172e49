import assert from 'node:assert/strict'
import { isIPv4, isIPv6 } from 'node:net'
import { test } from 'node:test'
import fc from 'fast-check'
import { cidrContains, formatCidr, parseCidr } from '../../../shared/policy/cidr.ts'
import { checkAddress } from '../../../shared/policy/decide.ts'
import { parseHost } from '../../../shared/policy/host.ts'
import { formatIp, type Ip, parseIp } from '../../../shared/policy/ip.ts'
import { parseHostPort } from '../../../shared/wire/host-port.ts'
import { rule } from './rule-kit.ts'

const NOWHERE = { own: new Set<string>(), relay: new Set<string>() }

const octet = fc.integer({ min: 0, max: 255 })
const radix = fc.constantFrom(8, 10, 16)
const hex = (value: number) => value.toString(16)

/** One number in a base that some resolver understands. */
function inRadix(value: number, base: number): string {
  if (base === 8) return `0${value.toString(8)}`
  return base === 16 ? `0x${hex(value)}` : String(value)
}

/** Every way known to write the address a.b.c.d, honest or not. */
const writings: ((quad: readonly number[], bases: readonly number[]) => string)[] = [
  (q) => q.join('.'),
  (q, r) => q.map((part, i) => inRadix(part, r[i] ?? 10)).join('.'),
  ([a = 0, b = 0, c = 0, d = 0], [r = 10]) => inRadix(a * 2 ** 24 + b * 2 ** 16 + c * 256 + d, r),
  ([a = 0, b = 0, c = 0, d = 0], [r = 10, s = 10]) =>
    `${inRadix(a, r)}.${inRadix(b * 2 ** 16 + c * 256 + d, s)}`,
  ([a = 0, b = 0, c = 0, d = 0], [r = 10, s = 10]) => `${inRadix(a, r)}.${inRadix(b, s)}.${c * 256 + d}`,
  (q) => q.map((part) => String(part).padStart(3, '0')).join('.'),
  (q) => `${q.join('.')}.`,
  (q) => q.join('。'),
  (q) => q.join('.').replace(/[0-9]/g, (digit) => String.fromCharCode(0xff10 + Number(digit))),
  (q) => `${q.join('.')}%lo`,
  (q) => `::ffff:${q.join('.')}`,
  (q) => `::FFFF:${q.join('.')}%lo`,
  (q) => `0:0:0:0:0:ffff:${words(q)}`,
  (q) => `::${q.join('.')}`,
  (q) => `64:ff9b::${words(q)}`,
  (q) => `64:ff9b:1::${q.join('.')}`,
  (q) => `2002:${words(q)}::1`,
  (q) => `::ffff:0:${q.join('.')}`,
]

function words([a = 0, b = 0, c = 0, d = 0]: readonly number[]): string {
  return `${hex(a * 256 + b)}:${hex(c * 256 + d)}`
}

function isDialled(text: string): boolean {
  return checkAddress(rule(), text, NOWHERE).allowed
}

test('S24: no textual form of a loopback or metadata address passes without its word', () => {
  const quad = fc.oneof(
    fc.tuple(fc.constant(127), octet, octet, octet),
    fc.constant([169, 254, 169, 254]),
    fc.constant([0, 0, 0, 0]),
  )
  const form = fc.constantFrom(...writings)
  fc.assert(
    fc.property(quad, form, fc.tuple(radix, radix, radix, radix), (address, write, bases) => {
      const text = write(address, bases)
      const host = parseHost(text)
      assert.ok(!isDialled(text), text)
      // As a host it is refused outright, or it is a literal that the address check then stops.
      assert.ok(!host.ok || (host.value.kind === 'ip' && !isDialled(host.value.text)), text)
    }),
    { numRuns: 2000 },
  )
})

test('what is dialled is always the one canonical text of an address', () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV4Extended(), fc.ipV6(), fc.string()), (text) => {
      const verdict = checkAddress(rule(), text, NOWHERE)
      if (!verdict.allowed) return
      const ip = parseIp(verdict.dial)
      assert.ok(ip)
      assert.equal(formatIp(ip), verdict.dial)
    }),
    { numRuns: 1000 },
  )
})

test('addresses are read exactly where node:net reads them, but for scope ids', () => {
  const close = fc.oneof(
    fc.ipV4(),
    fc.ipV6(),
    fc.string({ unit: fc.constantFrom('1', 'f', ':', '::', '.', '0', '255'), maxLength: 20 }),
  )
  fc.assert(
    fc.property(close, (text) => {
      assert.equal(parseIp(text)?.family, isIPv4(text) ? 4 : isIPv6(text) ? 6 : undefined, text)
    }),
    { numRuns: 3000 },
  )
})

const ip: fc.Arbitrary<Ip> = fc.oneof(
  fc.bigInt({ min: 0n, max: 2n ** 32n - 1n }).map((bits) => ({ family: 4 as const, bits })),
  fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }).map((bits) => ({ family: 6 as const, bits })),
)

test('formatting an address and reading it back changes nothing', () => {
  fc.assert(fc.property(ip, (address) => assert.deepEqual(parseIp(formatIp(address)), address)))
})

test('IPv6 text is what URL makes of it', () => {
  fc.assert(
    fc.property(fc.bigInt({ min: 0n, max: 2n ** 128n - 1n }), (bits) => {
      const text = formatIp({ family: 6, bits })
      assert.equal(`[${text}]`, new URL(`http://[${text}]/`).hostname)
    }),
  )
})

test('a range contains exactly the addresses that share its leading bits', () => {
  fc.assert(
    fc.property(ip, fc.integer({ min: 0, max: 32 }), ip, (base, prefix, other) => {
      const width = base.family === 4 ? 32n : 128n
      const host = width - BigInt(prefix)
      const network = { family: base.family, bits: (base.bits >> host) << host }
      const cidr = parseCidr(`${formatIp(network)}/${prefix}`)
      assert.ok(cidr.ok)
      assert.equal(formatCidr(cidr.value), `${formatIp(network)}/${prefix}`)
      const binary = (address: Ip) => address.bits.toString(2).padStart(Number(width), '0').slice(0, prefix)
      const isSame = other.family === base.family && binary(other) === binary(network)
      assert.equal(cidrContains(cidr.value, other), isSame)
      assert.ok(cidrContains(cidr.value, base))
    }),
  )
})

test('no text makes the parsers throw, and what they accept is canonical', () => {
  const text = fc.oneof(fc.string({ unit: 'binary', maxLength: 300 }), fc.domain(), fc.webAuthority())
  fc.assert(
    fc.property(text, (input) => {
      parseHostPort(input)
      const host = parseHost(input)
      if (host.ok) assert.deepEqual(parseHost(host.value.text), host)
    }),
    { numRuns: 1000 },
  )
})
