import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { encodeMap } from '../../../shared/handshake/hello.ts'
import {
  decodeOpenMeta,
  decodeOpenOkMeta,
  encodeOpenMeta,
  encodeOpenOkMeta,
  type OpenMeta,
} from '../../../shared/handshake/open.ts'

const OPEN: OpenMeta = {
  resource: 'berlin/db',
  protocol: 'tcp',
  opener: 'connector:dev',
  source: '192.0.2.7',
  trace: '0123456789abcdef0123456789abcdef',
  secret: new Uint8Array(16),
  attempt: 1,
  fresh: true,
  agent: 'a1',
  relay: new Uint8Array(16),
}

/** For each key, what it may have and what not. */
const OPEN_VALUES: Readonly<Record<keyof OpenMeta, readonly [right: unknown[], wrong: unknown[]]>> = {
  resource: [
    ['t', 'a-1/b-2', `${'a'.repeat(63)}/${'b'.repeat(63)}`],
    [undefined, null, '', 'A', '-a', 'a/', '/a', 'a/b/c', 'a\n', 'a'.repeat(64), 1, ['a']],
  ],
  protocol: [
    ['tcp', 'http'],
    [undefined, null, 'udp', 'TCP', '', true, ['tcp']],
  ],
  opener: [
    ['', 'relay', '~'.repeat(128)],
    [null, 1, 'a'.repeat(129), 'a\n', 'ü'],
  ],
  source: [
    ['', '2001:db8::1', 'a'.repeat(64)],
    [null, 1, 'a'.repeat(65), '\u007f'],
  ],
  trace: [['f'.repeat(32)], [null, '', 'F'.repeat(32), 'f'.repeat(31), 'f'.repeat(33), 1]],
  secret: [[new Uint8Array(16)], [null, 'a'.repeat(16), new Uint8Array(15), new Uint8Array(17), []]],
  attempt: [
    [0, 1, Number.MAX_SAFE_INTEGER],
    [null, -1, '1', true],
  ],
  fresh: [
    [true, false],
    [null, 0, 1, 'true'],
  ],
  agent: [
    ['', 'a'.repeat(64)],
    [null, 1, 'a'.repeat(65), 'a\t'],
  ],
  relay: [[new Uint8Array(16)], [null, new Uint8Array(0), new Uint8Array(32)]],
}

describe('the meta of OPEN', () => {
  it('is read as it was written, without keys of a later revision', () => {
    assert.deepEqual(decodeOpenMeta(encodeOpenMeta(OPEN)), OPEN)
    assert.deepEqual(decodeOpenMeta(encodeMap({ ...OPEN, later: 1, constructor: {} })), OPEN)
    assert.deepEqual(decodeOpenMeta(encodeOpenMeta({ resource: 't', protocol: 'http' })), {
      resource: 't',
      protocol: 'http',
    })
  })

  for (const [key, [right, wrong]] of Object.entries(OPEN_VALUES)) {
    it(`has a ${key} within its bounds, or is refused by the name of the key`, () => {
      for (const value of right) {
        assert.deepEqual(decodeOpenMeta(encodeMap({ ...OPEN, [key]: value })), { ...OPEN, [key]: value })
      }
      for (const value of wrong) {
        assert.throws(
          () => decodeOpenMeta(encodeMap({ ...OPEN, [key]: value })),
          { code: 'PROTOCOL', detail: `OPEN: ${key} is not right` },
          String(value),
        )
      }
    })
  }

  it('has no number beyond 2^53-1, also where it comes as a float', () => {
    // {"attempt": 1e300, "protocol": "tcp", "resource": "t"}
    const meta = Buffer.from(
      'a367617474656d7074fb7e37e43c8800759c6870726f746f636f6c63746370687265736f757263656174',
      'hex',
    )
    assert.throws(() => decodeOpenMeta(meta), { detail: 'OPEN: attempt is not right' })
  })

  it('names the first key of the table where several are wrong', () => {
    assert.throws(() => decodeOpenMeta(encodeMap({ ...OPEN, agent: 1, source: 1 })), {
      detail: 'OPEN: source is not right',
    })
  })

  it('is a map', () => {
    for (const value of [null, 1, 'resource']) {
      assert.throws(() => decodeOpenMeta(encodeMap(value as unknown as object)), {
        code: 'PROTOCOL',
        detail: 'OPEN: map is not right',
      })
    }
    assert.throws(() => decodeOpenMeta(encodeMap([OPEN])), { detail: 'OPEN: resource is not right' })
  })

  it('is CBOR, and the reason against it stays with the refusal', () => {
    assert.throws(
      () => decodeOpenMeta(Uint8Array.of(0xa1)),
      (error: Error) => {
        assert.match(error.message, /OPEN is not CBOR/)
        assert.match(String(error.cause), /cut off/)
        return true
      },
    )
  })
})

describe('the meta of OPEN_OK', () => {
  const ok = { dialMs: 3, agent: 'a1', resumable: true }

  it('is read as it was written, without keys of a later revision', () => {
    assert.deepEqual(decodeOpenOkMeta(encodeOpenOkMeta(ok)), ok)
    assert.deepEqual(decodeOpenOkMeta(encodeMap({ dialMs: 0, later: [1] })), { dialMs: 0 })
  })

  it('is refused by the name of the key that is wrong', () => {
    for (const wrong of [
      { dialMs: -1 },
      { dialMs: '1' },
      { dialMs: undefined },
      { agent: 'ü' },
      { resumable: 1 },
    ]) {
      const [key] = Object.keys(wrong)
      assert.throws(() => decodeOpenOkMeta(encodeMap({ ...ok, ...wrong })), {
        code: 'PROTOCOL',
        detail: `OPEN_OK: ${key} is not right`,
      })
    }
  })
})
