import assert from 'node:assert/strict'
import { decode, encode } from 'cborg'
import fc from 'fast-check'
import { decodeHello, decodeHelloOk } from '../../../shared/handshake/hello.ts'
import { decodeOpenMeta, decodeOpenOkMeta } from '../../../shared/handshake/open.ts'
import { decodeCbor } from '../../../shared/wire/cbor-reader.ts'
import { trickyValue, withDamage, withTrickyFields } from '../damage.ts'
import { type FuzzTarget, readOrRefused } from '../target.ts'

const HELLO = {
  versions: [1, 1],
  capabilities: [],
  instance: new Uint8Array(16),
  product: 'sallyport/0.1.0',
  held: ['0011223344556677'],
  policyDigest: new Uint8Array(32),
}

const HELLO_OK = {
  version: 1,
  capabilities: [],
  session: '0011223344556677',
  generation: 3,
  pingIntervalMs: 20_000,
  clock: 1_800_000_000_000,
  instance: new Uint8Array(16),
}

const OPEN = {
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

const OPEN_OK = { dialMs: 3, agent: 'a1', resumable: true }

/** A target that reads maps like `right`; what is understood is an object without a foreign prototype. */
function mapTarget(name: string, right: object, read: (bytes: Uint8Array) => object): FuzzTarget {
  return {
    name,
    inputs: withDamage(withTrickyFields({ ...right }).map((entries) => encode(new Map(entries)))),
    check(bytes) {
      const map = readOrRefused(['PROTOCOL'], () => read(bytes))
      if (map === undefined) return
      assert.ok([Object.prototype, null].includes(Object.getPrototypeOf(map)))
      assert.equal(({} as { x?: unknown }).x, undefined, 'the prototype of all objects was changed')
    },
  }
}

/** What another reader of the same form gives; undefined where it refuses. */
function readByCborg(bytes: Uint8Array): unknown {
  try {
    return decode(bytes, {
      strict: true,
      allowIndefinite: false,
      allowUndefined: false,
      rejectDuplicateMapKeys: true,
    })
  } catch {
    return undefined
  }
}

/** Where cborg takes what we refuse: it repairs text that is no UTF-8, takes integers beyond 2^53-1, and counts no nesting. */
function isOnlyOurs(value: unknown, depth = 1): boolean {
  if (typeof value === 'bigint') return true
  if (typeof value === 'string') return value.includes('\ufffd')
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return false
  return (
    depth > 8 ||
    Object.entries(value)
      .flat()
      .some((part) => isOnlyOurs(part, depth + 1))
  )
}

/** CBOR of a peer, in the first frames of a session and of each stream. */
export const handshakes: readonly FuzzTarget[] = [
  mapTarget('hello', HELLO, decodeHello),
  mapTarget('hello-ok', HELLO_OK, decodeHelloOk),
  mapTarget('open', OPEN, decodeOpenMeta),
  mapTarget('open-ok', OPEN_OK, decodeOpenOkMeta),
  {
    name: 'cbor',
    // Lengths and nestings that cost more to read than to write.
    inputs: fc
      .tuple(
        fc.array(fc.constantFrom(0x81, 0xa1, 0x9f, 0xbf, 0xc1, 0xd8, 0x5f, 0x7f), {
          maxLength: 4_000,
          size: 'max',
        }),
        fc.constantFrom([0x9b], [0xbb], [0x5b], [0x7b], [0x9a], [0xba], [0x5a], [0x7a], [0x80], [0xfb]),
        fc.uint8Array({ maxLength: 12 }),
      )
      .map(([nesting, head, rest]) => Uint8Array.from([...nesting, ...head, ...rest])),
    check(bytes) {
      for (const read of [decodeHello, decodeHelloOk, decodeOpenMeta, decodeOpenOkMeta]) {
        assert.equal(
          readOrRefused(['PROTOCOL'], () => read(bytes)),
          undefined,
        )
      }
    },
  },
  {
    name: 'cbor-value',
    inputs: withDamage(
      fc
        .dictionary(fc.oneof(fc.string({ maxLength: 30 }), fc.constant('__proto__')), trickyValue)
        .map((map) => encode({ map, list: [map] })),
    ),
    check(bytes) {
      // cborg drops a byte order mark.
      if (Buffer.from(bytes).includes('\ufeff')) return
      const theirs = readByCborg(bytes)
      const ours = readOrRefused(['PROTOCOL'], () => decodeCbor(bytes))
      if (ours === undefined) assert.ok(theirs === undefined || isOnlyOurs(theirs), 'refused')
      else assert.deepEqual(ours, theirs)
    },
  },
]
