import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { formatRule, RULES_HEADER } from '../../../agent/rules/format.ts'
import { makeRule, parseRules, RULES_MAX_BYTES } from '../../../agent/rules/parse.ts'
import { isTunnelError } from '../../../shared/errors.ts'

const DB = `version = 1
[resources.orders-db]
protocol = "tcp"
host = "DB.corp.example."
port = 5432
`

function fault(text: string): string {
  try {
    parseRules(text, 'rules.toml')
  } catch (err) {
    assert.ok(isTunnelError(err) && err.code === 'POLICY', String(err))
    return err.detail
  }
  return assert.fail('nothing was refused')
}

test('a rule has canonical values and closed defaults', () => {
  assert.deepEqual(parseRules(DB).get('orders-db'), {
    resource: 'orders-db',
    protocol: 'tcp',
    host: { kind: 'name', text: 'db.corp.example' },
    port: 5432,
    cidrs: [],
    allowLoopback: false,
    allowLinkLocal: false,
    allowMetadata: false,
    detail: false,
    resume: true,
  })
})

test('S47: every key of the format is read', () => {
  const rules = parseRules(`version = 1
[resources.web]
protocol = "http"
host = "fd00::5"
port = 80
cidr = ["fd00::/8", "10.0.0.0/8"]
expect = "private"
allow_loopback = true
allow_link_local = true
allow_metadata = true
methods = ["GET", "M-SEARCH"]
path_prefixes = ["/api/", "/"]
host_header = "web.corp:8080"
max_streams = 7
detail = true
resume = false
`)
  assert.deepEqual(rules.get('web'), {
    resource: 'web',
    protocol: 'http',
    host: { kind: 'ip', text: 'fd00::5' },
    port: 80,
    cidrs: [
      { family: 6, bits: 0xfd00n << 112n, prefix: 8, last: (0xfe00n << 112n) - 1n },
      { family: 4, bits: 10n << 24n, prefix: 8, last: (11n << 24n) - 1n },
    ],
    expect: 'private',
    allowLoopback: true,
    allowLinkLocal: true,
    allowMetadata: true,
    http: { methods: ['GET', 'M-SEARCH'], pathPrefixes: ['/api/', '/'], hostHeader: 'web.corp:8080' },
    maxStreams: 7,
    detail: true,
    resume: false,
  })
})

test('a fresh file allows nothing, and neither does one without resources', () => {
  assert.equal(parseRules(RULES_HEADER).size, 0)
  assert.equal(parseRules('version = 1').size, 0)
})

test('a resource may be called constructor without being lost', () => {
  assert.ok(parseRules(DB.replace('orders-db', 'constructor')).has('constructor'))
})

test('a fault names file, line, key, rule and remedy', () => {
  assert.equal(
    fault(DB.replace('5432', '0')),
    'rules.toml line 5: resources.orders-db.port: must be a whole number from 1 to 65535, such as port = 5432',
  )
})

const line = (text: string) => `${DB}${text}\n`
const faults: [string, string, RegExp][] = [
  [
    'an unknown key',
    line('prot = 1'),
    /line 6: resources\.orders-db\.prot: unknown key; the keys are protocol/,
  ],
  ['an unknown key at the top', `x = 1\n${DB}`, /x: unknown key/],
  ['no version', DB.replace('version = 1', ''), /version: must be there as version = 1/],
  ['a version of the future', DB.replace('1', '2'), /version/],
  ['a missing key', DB.replace('port = 5432', ''), /line 2: resources\.orders-db\.port: missing; it must be/],
  [
    'a host with port',
    DB.replace('DB.corp.example.', 'db:5432'),
    /line 4: .*host: .*the port goes into port/,
  ],
  ['a host in disguise', DB.replace('DB.corp.example.', '0x7f.1'), /looks like a number/],
  ['a wildcard', DB.replace('DB.corp', '*.corp'), /no DNS name/],
  ['a broken port type', DB.replace('5432', '"5432"'), /line 5: .*port: must be/],
  ['a port with a fraction', DB.replace('5432', '54.5'), /port: must be/],
  ['a cidr with host bits', line('cidr = "10.1.2.3/8"'), /line 6: .*cidr: bits are set behind the prefix/],
  ['a cidr that wraps IPv4', line('cidr = "::ffff:10.0.0.0/104"'), /cidr: write the IPv4 range/],
  ['an empty cidr list', line('cidr = []'), /cidr: must be/],
  ['65 ranges', line(`cidr = [${Array(65).fill('"10.0.0.0/8"').join(', ')}]`), /cidr: must be/],
  ['methods on tcp', line('methods = ["GET"]'), /line 6: .*methods: only for protocol = "http"/],
  ['a lower-case method', `${line('methods = ["get"]')}`.replace('tcp', 'http'), /methods: must be/],
  ['CONNECT', `${line('methods = ["CONNECT"]')}`.replace('tcp', 'http'), /never pass/],
  [
    'a prefix with dots',
    `${line('path_prefixes = ["/a/../b"]')}`.replace('tcp', 'http'),
    /path_prefixes: must/,
  ],
  [
    'a prefix with query',
    `${line('path_prefixes = ["/a?b"]')}`.replace('tcp', 'http'),
    /path_prefixes: must/,
  ],
  [
    'a header in host_header',
    `${line('host_header = "a\\r\\nX: y"')}`.replace('tcp', 'http'),
    /host_header: must/,
  ],
  ['too many streams', line('max_streams = 4097'), /max_streams: must be/],
  [
    'a name in upper case',
    DB.replace('orders-db', 'Orders'),
    /line 2: resources\."Orders": a name is 1 to 63/,
  ],
  ['a prototype', DB.replace('orders-db', '__proto__'), /a name is 1 to 63/],
  ['a resource that is no table', 'version = 1\n[resources]\na = 5', /resources\.a: must be a table/],
  ['the same table twice', DB + DB.replace('version = 1\n', ''), /line 6: no valid TOML/],
  ['the same key twice', line('port = 1'), /line 6: no valid TOML/],
  ['depth', line(`x = ${'['.repeat(2000)}${']'.repeat(2000)}`), /no valid TOML/],
  ['a cut text', DB.slice(0, -10), /line 5: no valid TOML|port: missing|port: must/],
]
for (const [name, text, expected] of faults) {
  test(`refused: ${name}`, () => assert.match(fault(text), expected))
}

test('a file over 1 MiB is refused before it is parsed', () => {
  assert.match(fault(`${DB}#${'ä'.repeat(RULES_MAX_BYTES / 2)}`), /larger than 1 MiB/)
})

test('more than 10,000 resources are refused', () => {
  const tables = Array.from({ length: 10_001 }, (_, i) => `r${i}={}\n`).join('')
  assert.match(fault(`version = 1\n[resources]\n${tables}`), /more than 10000/)
})

test('a syntax fault does not repeat the content of the file', () => {
  assert.doesNotMatch(fault(`${DB}hunter2 = hunter2\n`), /hunter2/)
})

test('no text makes the parser fail in another way than POLICY', () => {
  const piece = fc.constantFrom(
    ...DB.split(/(?<=[\n ="])/),
    '[',
    ']',
    '{',
    '}',
    '"',
    "'",
    '#',
    '\\',
    '\0',
    '1e999',
  )
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
      try {
        parseRules(pieces.join(''))
      } catch (err) {
        assert.ok(isTunnelError(err) && err.code === 'POLICY', String(err))
      }
    }),
    { numRuns: 1000 },
  )
})

test('a formatted rule is read back the same', () => {
  const entry = fc.record(
    {
      protocol: fc.constant('http'),
      host: fc.constantFrom('a.example', '10.0.0.1', 'fd00::1'),
      port: fc.integer({ min: 1, max: 65_535 }),
      cidr: fc.constantFrom('10.0.0.0/8', ['fd00::/8', '::1/128']),
      expect: fc.constantFrom('private', 'public'),
      allow_loopback: fc.boolean(),
      allow_link_local: fc.boolean(),
      allow_metadata: fc.boolean(),
      methods: fc.constantFrom(['GET'], ['GET', 'POST']),
      path_prefixes: fc.constantFrom(['/'], ['/a"b\'/', '/b']),
      host_header: fc.constantFrom('x', 'x:80', '[::1]:80'),
      max_streams: fc.integer({ min: 1, max: 4096 }),
      detail: fc.boolean(),
    },
    { requiredKeys: ['protocol', 'host', 'port'] },
  )
  fc.assert(
    fc.property(entry, (keys) => {
      const rule = makeRule('r', keys)
      const text = `version = 1\n${formatRule(rule).join('\n')}`
      assert.deepEqual(parseRules(text).get('r'), rule)
    }),
  )
})

test('a rule made by a command is checked the same, with a code of the command line', () => {
  const usage = (err: unknown) => isTunnelError(err) && err.code === 'USAGE'
  assert.throws(() => makeRule('A', { protocol: 'tcp', host: 'a', port: 1 }), usage)
  assert.throws(() => makeRule('a', { protocol: 'tcp', host: '127.1', port: 1 }), usage)
  assert.throws(() => makeRule('a', { protocol: 'tcp', host: 'a', port: 1, extra: 1 }), usage)
})
