import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  looksLikeProxyHeader,
  MAX_PROXY_BODY_BYTES,
  ProxyHeaderReader,
} from '../../../shared/wire/proxy-protocol.ts'
import { type BinaryHeader, binaryHeader } from '../../support/proxy-header.ts'

const BEHIND = Buffer.from('\x16\x03\x01\x00\x05hello', 'latin1')

/** What the reader makes of `header` with something behind it. */
function read(header: Buffer | string): string {
  const bytes = typeof header === 'string' ? Buffer.from(header, 'latin1') : header
  const view = new ProxyHeaderReader().push(Buffer.concat([bytes, BEHIND]))
  if (view === 'more') return 'more'
  if ('refused' in view) return `refused: ${view.refused}`
  assert.deepEqual(Buffer.from(view.rest), BEHIND)
  return view.source ?? 'its own'
}

function readBinary(header: BinaryHeader): string {
  return read(binaryHeader(header))
}

describe('a header of version 1', () => {
  it('says whose connection it is, in canonical form', () => {
    assert.equal(read('PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\n'), '192.0.2.7')
    assert.equal(read('PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n'), '255.255.255.255')
    assert.equal(read('PROXY TCP6 2001:DB8:0::7 2001:db8::1 0 443\r\n'), '2001:db8::7')
    assert.equal(read('PROXY TCP6 ::ffff:192.0.2.7 ::1 1 2\r\n'), '192.0.2.7')
  })

  it('may not know, or speak for the proxy itself', () => {
    assert.equal(read('PROXY UNKNOWN\r\n'), 'its own')
    const longest = `PROXY UNKNOWN ${'ffff:'.repeat(7)}ffff ${'ffff:'.repeat(7)}ffff 65535 65535\r\n`
    assert.equal(longest.length, 107)
    assert.equal(read(longest), 'its own')
  })

  it('is refused where it is not exactly that', () => {
    const wrong = [
      'PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\n',
      'PROXY TCP4 192.0.2.7  203.0.113.1 56324 443\r\n',
      'PROXY TCP4 192.0.2.7 203.0.113.1 56324 443 \r\n',
      'PROXY TCP4 192.0.2.7 203.0.113.1 56324\r\n',
      'PROXY TCP4 192.0.2.7 203.0.113.1 056324 443\r\n',
      'PROXY TCP4 192.0.2.7 203.0.113.1 56324 65536\r\n',
      'PROXY TCP4 192.0.2.7 203.0.113.1 -1 443\r\n',
      'PROXY TCP4 192.0.2.07 203.0.113.1 56324 443\r\n',
      'PROXY TCP4 192.0.2.256 203.0.113.1 56324 443\r\n',
      'PROXY TCP4 192.0.2 203.0.113.1 56324 443\r\n',
      'PROXY TCP4 2001:db8::7 2001:db8::1 56324 443\r\n',
      'PROXY TCP4 192.0.2.7 2001:db8::1 56324 443\r\n',
      'PROXY TCP6 192.0.2.7 203.0.113.1 56324 443\r\n',
      'PROXY TCP6 fe80::1%eth0 2001:db8::1 56324 443\r\n',
      'PROXY TCP5 192.0.2.7 203.0.113.1 56324 443\r\n',
      'PROXY UDP4 192.0.2.7 203.0.113.1 56324 443\r\n',
      'PROXY UNKNOWNX\r\n',
      'PROXY \r\n',
      'PROXY TCP4 192.0.2.7 203.0.113.1 56324 443\r\r\n',
      'proxy TCP4 192.0.2.7 203.0.113.1 56324 443\r\n',
      ' PROXY UNKNOWN\r\n',
      'PROXYUNKNOWN\r\n',
    ]
    for (const line of wrong) assert.match(read(line), /^refused: /, line)
  })

  it('has at most 107 bytes', () => {
    const line = `PROXY UNKNOWN ${'x'.repeat(92)}`
    assert.equal(line.length, 106)
    assert.equal(new ProxyHeaderReader().push(Buffer.from(line)), 'more')
    assert.match(read(`${line}x`), /^refused: the line is longer than 107/)
    assert.match(read(`${line}\r\n`), /^refused: the line is longer than 107/)
  })
})

describe('a header of version 2', () => {
  it('says whose connection it is', () => {
    assert.equal(readBinary({}), '192.0.2.7')
    const v6 = '20010db8000000000000000000000007 20010db8000000000000000000000001 d431 01bb'
    assert.equal(readBinary({ family: 0x21, addresses: v6 }), '2001:db8::7')
    const mapped = '00000000000000000000ffffc0000207 00000000000000000000ffffcb007101 d431 01bb'
    assert.equal(readBinary({ family: 0x21, addresses: mapped }), '192.0.2.7')
  })

  it('may speak for the proxy itself, whatever else it says, or not know', () => {
    assert.equal(readBinary({ command: 0x20 }), 'its own')
    assert.equal(readBinary({ command: 0x20, family: 0, addresses: '' }), 'its own')
    assert.equal(readBinary({ command: 0x20, family: 0xff, addresses: '0102' }), 'its own')
    assert.equal(readBinary({ family: 0, addresses: '' }), 'its own')
    assert.equal(readBinary({ family: 0, addresses: '0102030405' }), 'its own')
  })

  it('may have extensions, which are skipped', () => {
    const extensions = [
      [0x05, Buffer.from('an id')],
      [0x02, Buffer.from('relay.example.com')],
      [0xee, Buffer.alloc(0)],
      [0x20, Buffer.alloc(300)],
    ] as const
    assert.equal(readBinary({ extensions }), '192.0.2.7')
    for (const cut of ['01', '0100', '010002ff', '01ffff00'])
      assert.match(readBinary({ addresses: `c0000207 cb007101 d431 01bb ${cut}` }), /^refused: an extension/)
  })

  it('is refused where its checksum is wrong', () => {
    const id = [0x05, Buffer.from('id')] as const
    assert.equal(readBinary({ hasChecksum: true }), '192.0.2.7')
    assert.equal(readBinary({ extensions: [id], hasChecksum: true }), '192.0.2.7')
    const header = binaryHeader({ extensions: [id], hasChecksum: true })
    for (let at = 16; at < header.length; at++) {
      const damaged = Buffer.from(header)
      damaged[at] = (damaged[at] ?? 0) ^ 1
      const isTypeOrLength = (at >= 28 && at <= 30) || (at >= 33 && at <= 35)
      assert.match(
        read(damaged),
        isTypeOrLength ? /^refused|^192\.0\.2\.7/ : /^refused: the checksum/,
        `${at}`,
      )
    }
    const short = [0x03, Buffer.alloc(3)] as const
    assert.match(readBinary({ extensions: [short] }), /^refused: the checksum is not one/)
    const twice = [0x03, Buffer.alloc(4)] as const
    assert.match(readBinary({ extensions: [twice, twice] }), /^refused: the checksum is not one/)
  })

  it('is refused where it is another version, command or family', () => {
    assert.match(readBinary({ command: 0x11 }), /^refused: its version is 1/)
    assert.match(readBinary({ command: 0x22 }), /^refused: its command is 2/)
    for (const family of [0x10, 0x12, 0x13, 0x22, 0x31, 0x32, 0x01, 0xff])
      assert.match(readBinary({ family, addresses: '00'.repeat(216) }), /^refused: its family/)
    assert.match(readBinary({ addresses: 'c0000207 cb007101 d431 01' }), /^refused: the addresses are cut/)
    assert.match(readBinary({ family: 0x21 }), /^refused: the addresses are cut/)
  })

  it('is at most 4,096 bytes behind its head', () => {
    const room = MAX_PROXY_BODY_BYTES - 12 - 3
    assert.equal(readBinary({ extensions: [[0x04, Buffer.alloc(room)]] }), '192.0.2.7')
    const head = binaryHeader({ extensions: [[0x04, Buffer.alloc(room + 1)]] }).subarray(0, 16)
    assert.match(read(head), /^refused: it announces 4097 bytes/)
  })
})

describe('a header of either version', () => {
  const headers = [
    Buffer.from('PROXY TCP6 2001:db8::7 2001:db8::1 56324 443\r\n'),
    Buffer.from('PROXY UNKNOWN\r\n'),
    binaryHeader({ extensions: [[0x05, Buffer.from('id')]], hasChecksum: true }),
    binaryHeader({ command: 0x20, family: 0, addresses: '' }),
  ]

  it('is the same however it is cut, and leaves what follows', () => {
    for (const header of headers) {
      const whole = read(header)
      const all = Buffer.concat([header, BEHIND])
      for (let cut = 1; cut < header.length; cut++) {
        const reader = new ProxyHeaderReader()
        assert.equal(reader.push(all.subarray(0, cut)), 'more')
        const view = reader.push(all.subarray(cut))
        assert.ok(view !== 'more' && !('refused' in view))
        assert.equal(view.source ?? 'its own', whole)
        assert.deepEqual(Buffer.from(view.rest), BEHIND)
      }
      const reader = new ProxyHeaderReader()
      const views = Array.from(header, (byte) => reader.push(Buffer.of(byte)))
      assert.equal(
        views.findIndex((view) => view !== 'more'),
        header.length - 1,
      )
      assert.deepEqual(reader.push(BEHIND), views.at(-1), 'what follows later is not its own')
    }
  })

  it('is not what TLS, HTTP or nothing begin with', () => {
    for (const other of ['\x16\x03\x01', 'GET / HTTP/1.1\r\n', 'POST /', '\r\n\r\nGET', 'SSH-2.0-x']) {
      assert.equal(read(other), 'refused: there is no PROXY header', other)
      assert.equal(looksLikeProxyHeader(Buffer.from(other)), false, other)
    }
    assert.equal(new ProxyHeaderReader().push(Buffer.alloc(0)), 'more')
  })

  it('is known by its beginning', () => {
    for (const header of headers) assert.equal(looksLikeProxyHeader(header), true)
    assert.equal(looksLikeProxyHeader(Buffer.from('PROX')), false, 'too short to say')
  })
})
