import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inspect } from 'node:util'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import {
  formatJoinString,
  JOIN_STRING_MAX_LENGTH,
  type JoinInvitation,
  parseJoinString,
} from '../../../shared/identity/join-string.ts'
import { Secret } from '../../../shared/secret.ts'

const label = fc.stringMatching(/^[a-z][a-z0-9]{0,20}$/)
const host = fc.oneof(
  fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.')),
  fc.ipV4(),
  fc.constant('2001:db8::1'),
)
const invitation: fc.Arbitrary<JoinInvitation> = fc.record({
  addresses: fc.array(
    fc.record({ host, port: fc.integer({ min: 1, max: 65_535 }) }, { noNullPrototype: true }),
    {
      minLength: 1,
      maxLength: 4,
    },
  ),
  serverName: host,
  caPin: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => Buffer.from(bytes)),
  token: fc.uint8Array({ minLength: 32, maxLength: 32 }).map((bytes) => new Secret(Buffer.from(bytes))),
})

const SAMPLE = formatJoinString({
  addresses: [{ host: 'relay.example.org', port: 443 }],
  serverName: 'relay.example.org',
  caPin: Buffer.alloc(32, 7),
  token: new Secret(Buffer.alloc(32, 9)),
}).reveal()

const isRefused = (text: string) => assert.throws(() => parseJoinString(text), { code: 'JOIN_STRING' }, text)

test('what is written is read back, with white space round it too', () => {
  fc.assert(
    fc.property(invitation, (given) => {
      const text = formatJoinString(given).reveal()
      assert.ok(text.length <= JOIN_STRING_MAX_LENGTH)
      assert.match(text, /^[A-Za-z0-9._-]+$/)
      const read = parseJoinString(`  ${text}\r\n`)
      assert.deepEqual(read.addresses, given.addresses)
      assert.equal(read.serverName, given.serverName)
      assert.deepEqual(read.caPin, given.caPin)
      assert.deepEqual(read.token.reveal(), given.token.reveal())
    }),
  )
})

test('the change of any one character is noticed', () => {
  for (let at = 0; at < SAMPLE.length; at++) {
    for (const other of [
      'A',
      'b',
      '0',
      '-',
      '_',
      '.',
      'é',
      ' ',
      String.fromCharCode(SAMPLE.charCodeAt(at) ^ 1),
    ]) {
      if (other === SAMPLE[at]) continue
      isRefused(SAMPLE.slice(0, at) + other + SAMPLE.slice(at + 1))
    }
  }
})

test('a string that was cut, doubled or broken over two lines is refused', () => {
  for (let length = 0; length < SAMPLE.length; length++) isRefused(SAMPLE.slice(0, length))
  isRefused(SAMPLE + SAMPLE)
  isRefused(`${SAMPLE}A`)
  isRefused(`${SAMPLE.slice(0, 80)}\n${SAMPLE.slice(80)}`)
  isRefused(' '.repeat(1e6))
})

test('a string of another version says so', () => {
  assert.throws(() => parseJoinString(SAMPLE.replace('join-1', 'join-2')), { message: /another version/ })
})

test('any text at all is read or refused with a code, and never repeated', () => {
  const text = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc
      .uint8Array({ maxLength: 300 })
      .map((bytes) => `sallyport-join-1.${Buffer.from(bytes).toString('base64url')}`),
  )
  fc.assert(
    fc.property(text, (given) => {
      try {
        parseJoinString(given)
        assert.fail('read')
      } catch (err) {
        assert.ok(isTunnelError(err) && err.code === 'JOIN_STRING')
      }
    }),
  )
  assert.ok(!inspect(parseJoinString(SAMPLE)).includes(Buffer.alloc(32, 9).toString('hex')))
})

test('a string with a right checksum but content that does not fit is refused', () => {
  const good: JoinInvitation = {
    addresses: [{ host: 'relay.example.org', port: 443 }],
    serverName: 'relay.example.org',
    caPin: Buffer.alloc(32),
    token: new Secret(Buffer.alloc(32)),
  }
  const address = { host: 'a', port: 1 }
  isRefused(formatJoinString({ ...good, addresses: [] }).reveal())
  isRefused(formatJoinString({ ...good, addresses: Array(5).fill(address) }).reveal())
  isRefused(formatJoinString({ ...good, addresses: [{ host: 'A b', port: 1 }] }).reveal())
  isRefused(formatJoinString({ ...good, addresses: [{ host: 'a', port: 0 }] }).reveal())
  isRefused(formatJoinString({ ...good, serverName: '' }).reveal())
  isRefused(formatJoinString({ ...good, caPin: Buffer.alloc(31) }).reveal())
})
