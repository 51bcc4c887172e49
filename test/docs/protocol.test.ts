import assert from 'node:assert/strict'
import { globSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { decode } from 'cborg'
import { ERRORS, type ErrorEntry, wireFromCode } from '../../shared/errors.ts'
import { decodeHealth } from '../../shared/handshake/health.ts'
import {
  decodeHello,
  decodeHelloOk,
  encodeHello,
  encodeHelloOk,
  encodeMap,
} from '../../shared/handshake/hello.ts'
import {
  decodeOpenMeta,
  decodeOpenOkMeta,
  encodeOpenMeta,
  encodeOpenOkMeta,
} from '../../shared/handshake/open.ts'
import { enrollRequestSchema, enrollResponseSchema } from '../../shared/identity/enrollment-messages.ts'
import { formatJoinString } from '../../shared/identity/join-string.ts'
import { decodeControl, isKnownType } from '../../shared/mux/decode.ts'
import { encodeControl, writeDataHead } from '../../shared/mux/encode.ts'
import { type ControlFrame, FLAG, FRAME } from '../../shared/mux/frame.ts'
import { FrameReader } from '../../shared/mux/frame-reader.ts'
import { type MoveTable, OPENING_MOVES, RECEIVE_MOVES, SEND_MOVES } from '../../shared/mux/stream-state.ts'
import { Secret } from '../../shared/secret.ts'
import { OPCODE, writeHead } from '../../shared/wire/websocket.ts'
import { LIMITS } from './protocol-limits.ts'

const ROOT = join(import.meta.dirname, '../..')
const read = (path: string) => readFileSync(join(ROOT, path), 'utf8')
const PAGE = read('docs/protocol.md')

/** The rows of the table behind a mark, each as its cells; the first row is the head. */
function table(name: string): string[][] {
  const [, after] = PAGE.split(`<!-- table: ${name} -->\n`)
  assert.ok(after !== undefined, `docs/protocol.md has no table "${name}"`)
  const lines = after.slice(0, after.search(/\n(?!\|)/)).split('\n')
  return lines
    .filter((line) => !/^[| -]+$/.test(line) || /[a-z]/.test(line))
    .map((line) =>
      line
        .split('|')
        .slice(1, -1)
        .map((cell) => cell.trim().replaceAll('`', '')),
    )
}

const body = (name: string) => table(name).slice(1)
const column = (name: string, index: number) => body(name).map((row) => row[index] ?? '')
const number = (text: string) => Number(text.replaceAll(',', ''))

/** The bytes of an example, without the spaces. */
function example(name: string): string {
  const [, after] = PAGE.split(`\`\`\`hex ${name}\n`)
  assert.ok(after !== undefined, `docs/protocol.md has no example "${name}"`)
  return after.slice(0, after.indexOf('```')).replace(/\s+/g, '')
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('the frames in docs/protocol.md', () => {
  it('have the numbers of the code, and there are no others', () => {
    const listed = body('frames').map(([type = '', name = '']) => [name, Number.parseInt(type, 16)])
    assert.deepEqual(Object.fromEntries(listed), FRAME)
  })

  it('have payloads of the lengths and on the streams that the code takes', () => {
    for (const [type = '', name = '', of, range = ''] of body('frames')) {
      const [least = 0, most = least] = range.split(' to ').map(number)
      const isStream = of === 'stream'
      const takes = (id: number, length: number) => takesFrame(Number.parseInt(type, 16), id, length)
      const right = isStream ? 1 : 0
      assert.deepEqual([takes(right, least), takes(right, most)], [true, true], `${name} of ${range}`)
      assert.deepEqual(
        [takes(right, least - 1), takes(right, most + 1)],
        [false, false],
        `${name} of ${range}`,
      )
      assert.equal(takes(1 - right, least), false, `${name} on the wrong kind of stream`)
    }
  })

  it('that are reserved are refused, and those of 40 to 7f that have no name are skipped', () => {
    const known = new Set<number>(Object.values(FRAME))
    for (let type = 0; type <= 0xff; type++) {
      if (known.has(type)) continue
      assert.equal(takesFrame(type, 0, 8), type >= 0x40 && type <= 0x7f, type.toString(16))
    }
  })

  it('have the flags of the code', () => {
    const listed = body('flags').map(([bit = '', name = '']) => [name, Number.parseInt(bit, 16)])
    assert.deepEqual(Object.fromEntries(listed), FLAG)
  })
})

/** Whether a reader takes a frame of zeros (with FIN, so that DATA may be empty). */
function takesFrame(type: number, id: number, length: number): boolean {
  if (length < 0) return false
  const bytes = new Uint8Array(8 + length)
  bytes.set([type, FLAG.FIN, length >>> 8, length & 0xff, 0, 0, 0, id])
  try {
    new FrameReader({ data() {}, control() {} }).push(bytes)
    if (type !== FRAME.DATA && isKnownType(type)) decodeControl(type, 0, id, bytes.subarray(8))
    return true
  } catch {
    return false
  }
}

describe('the states in docs/protocol.md', () => {
  const tables: Record<string, MoveTable<string, string>> = {
    'opening-states': OPENING_MOVES,
    'send-states': SEND_MOVES,
    'receive-states': RECEIVE_MOVES,
  }
  for (const [name, moves] of Object.entries(tables)) {
    it(`are those of the code: ${name}`, () => {
      const [[, ...events] = [], ...rows] = table(name)
      const listed = rows.map(([state, ...next]) => [
        state,
        Object.fromEntries(events.map((event, index) => [event, next[index]]).filter(([, to]) => to !== '')),
      ])
      assert.deepEqual(Object.fromEntries(listed), moves)
    })
  }
})

/** The only report of a NOTICE that holds `report`, which is a map in CBOR. */
function decodeOneReport(report: Uint8Array): object {
  const {
    reports: [decoded],
  } = decodeHealth(encodeMap({ health: [decode(report)] }))
  assert.ok(decoded !== undefined)
  return { ...decoded, ...(decoded.code && { code: wireFromCode(decoded.code) }) }
}

describe('the maps in docs/protocol.md', () => {
  const hello = {
    versions: [1, 1],
    capabilities: [],
    instance: new Uint8Array(16),
    product: 'example/1',
    held: [],
    policyDigest: new Uint8Array(32),
    release: 'stable/0.1.0',
  }
  const helloOk = {
    version: 1,
    capabilities: [],
    session: 'a',
    generation: 1,
    pingIntervalMs: 20_000,
    clock: 1,
    linkKey: new Uint8Array(32),
    instance: new Uint8Array(16),
  }
  const open = {
    resource: 'berlin/db',
    protocol: 'tcp',
    opener: 'relay',
    source: '192.0.2.1',
    trace: '0123456789abcdef0123456789abcdef',
    secret: new Uint8Array(16),
    attempt: 1,
    fresh: true,
    agent: 'a1',
    relay: new Uint8Array(16),
  }
  const maps: Record<string, [object, (meta: Uint8Array) => object]> = {
    hello: [hello, decodeHello],
    'hello-ok': [helloOk, decodeHelloOk],
    open: [open, decodeOpenMeta],
    'open-ok': [{ dialMs: 3, agent: 'a1', resumable: true }, decodeOpenOkMeta],
    health: [{ resource: 'db', state: 'failing', ageMs: 5, code: 9, text: 'x' }, decodeOneReport],
  }
  for (const [name, [map, decode]] of Object.entries(maps)) {
    it(`have the keys of the code, needed or not: ${name}`, () => {
      assert.deepEqual(column(name, 0), Object.keys(map))
      const { version: _chosen, ...decoded } = decode(encodeMap({ ...map, later: 1 })) as { version?: number }
      assert.deepEqual({ ...decoded, ...('version' in map ? { version: 1 } : {}) }, map)
      for (const [key = '', , needed] of body(name)) {
        const without = () => decode(encodeMap({ ...map, [key]: undefined }))
        if (needed === 'yes') assert.throws(without, { code: 'PROTOCOL' }, key)
        else assert.doesNotThrow(without, key)
      }
    })
  }

  it('of enrolment have the keys of the code', () => {
    assert.deepEqual(column('enroll-request', 0), Object.keys(enrollRequestSchema.entries))
    assert.deepEqual(column('enroll-answer', 0), Object.keys(enrollResponseSchema.entries))
  })
})

it('the codes in docs/protocol.md are those of the catalogue', () => {
  const entries = Object.entries(ERRORS) as [string, ErrorEntry][]
  const wire = entries.filter(([, entry]) => entry.wire !== undefined)
  const expected = wire.map(([name, entry]) => [String(entry.wire), name, entry.retryable ? 'yes' : ''])
  assert.deepEqual(
    body('codes').map((row) => row.slice(0, 3)),
    expected.sort(([a], [b]) => Number(a) - Number(b)),
  )
})

it('the limits in docs/protocol.md are those of the code', () => {
  const listed = Object.fromEntries(body('limits').map(([limit = '', value = '']) => [limit, number(value)]))
  const expected = Object.entries(LIMITS).map(([limit, [file, before]]) => {
    const digits = read(file).split(before)[1] ?? ''
    return [limit, Number(/^[0-9a-fx_]+/.exec(digits)?.[0].replaceAll('_', ''))]
  })
  const derived = { 'stream bytes of a DATA frame': (listed['payload bytes of a frame'] ?? 0) - 8 }
  assert.deepEqual(listed, { ...Object.fromEntries(expected), ...derived })
})

describe('the examples in docs/protocol.md', () => {
  const instance = Uint8Array.from({ length: 16 }, (_, index) => index)
  const helloOk = {
    version: 1,
    capabilities: [],
    session: '0011223344556677',
    generation: 7,
    pingIntervalMs: 20_000,
    clock: 1_800_000_000_000,
  }
  const openMeta = encodeOpenMeta({ resource: 'berlin/db', protocol: 'tcp' })
  const early = Buffer.from('hello')
  const grant = { id: 1, maxOffset: 262_149 }
  const none = new Uint8Array(0)
  const frames: Record<string, ControlFrame> = {
    HELLO: { type: 'HELLO', id: 0, meta: encodeHello({ instance, product: 'example/1' }) },
    HELLO_OK: { type: 'HELLO_OK', id: 0, meta: encodeHelloOk(helloOk) },
    OPEN: {
      ...{ type: 'OPEN', id: 1, flags: 0, maxOffset: 262_144, priority: 0, hops: 0 },
      ...{ meta: openMeta, earlyData: early },
    },
    OPEN_OK: { type: 'OPEN_OK', ...grant, meta: encodeOpenOkMeta({ dialMs: 3 }) },
    ACK: { type: 'ACK', id: 0, received: 22, holdUs: 1_500 },
    CREDIT: { type: 'CREDIT', ...grant, consumed: 11, fin: true },
    RESET: { type: 'RESET', id: 1, code: ERRORS.DENIED_BY_SITE.wire, consumed: 0, detail: '' },
    GOAWAY: {
      ...{ type: 'GOAWAY', id: 0, code: ERRORS.DRAINING.wire, lastId: 1 },
      ...{ drainMs: 10_000, retryAfterMs: 1_000, meta: none },
    },
  }
  for (const [name, frame] of Object.entries(frames)) {
    it(`are what the encoder writes: ${name}`, () => assert.equal(example(name), hex(encodeControl(frame))))
  }

  it('are what the encoder writes: DATA and the head of a message', () => {
    const bytes = Buffer.concat([Buffer.alloc(16), Buffer.from(' world')])
    writeDataHead(bytes, 0, { id: 1, flags: FLAG.FIN, offset: early.length, length: 6 })
    assert.equal(example('DATA'), hex(bytes))
    const client = new Uint8Array(6)
    writeHead(client, 0, OPCODE.binary, bytes.length, new Uint8Array(4))
    assert.equal(example('client head'), hex(client))
  })

  it('have the join string that the code makes', () => {
    const text = formatJoinString({
      token: new Secret(Buffer.alloc(32, 9)),
      caPin: Buffer.alloc(32, 7),
      serverName: 'relay.example.org',
      addresses: [{ host: 'relay.example.org', port: 443 }],
    }).reveal()
    assert.ok(PAGE.includes(`<!-- join string -->\n\`\`\`\n${text}\n\`\`\``))
  })
})

it('every section that a comment names exists', () => {
  const sections = new Set([...PAGE.matchAll(/^##+ ([\d.]+) /gm)].map(([, section]) => section))
  const named = globSync('{agent,connector,demo,relay,shared}/**/*.ts', { cwd: ROOT }).flatMap((file) =>
    [...read(file).matchAll(/protocol\.md[\s*]+sections?((?:(?: |,|and|to)+\d+(?:\.\d)?)+)/g)].flatMap(
      ([, list = '']) => (list.match(/[\d.]+/g) ?? []).map((section) => ({ file, section })),
    ),
  )
  assert.ok(named.length > 15, 'the comments were not found')
  assert.deepEqual(
    named.filter(({ section }) => !sections.has(section)),
    [],
  )
})
