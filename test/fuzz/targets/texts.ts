import assert from 'node:assert/strict'
import fc from 'fast-check'
import { parseRules } from '../../../agent/rules/parse.ts'
import { hostOf } from '../../../relay/ingress/host-route.ts'
import { decodeResponse } from '../../../shared/control/message.ts'
import { ERRORS, isTunnelError } from '../../../shared/errors.ts'
import { parseCredentials } from '../../../shared/identity/credentials.ts'
import { verifyCsr } from '../../../shared/identity/csr.ts'
import { parseJoinString } from '../../../shared/identity/join-string.ts'
import { formatRelayAddress, parseRelayAddress } from '../../../shared/identity/relay-address.ts'
import { formatHostPort, parseHostPort } from '../../../shared/wire/host-port.ts'
import { textWithDamage, withTrickyFields } from '../damage.ts'
import { awaitOrRefused, type FuzzTarget, readOrRefused } from '../target.ts'
import { CREDENTIALS, CSR, JOIN_STRING } from './samples.ts'

const textOf = (bytes: Uint8Array) => Buffer.from(bytes).toString('utf8')

/** JSON of an object with tricky fields, also as nobody would write it: keys twice, numbers too large, much nesting. */
function jsonOf(right: object): fc.Arbitrary<string> {
  const object = withTrickyFields({ ...right }).map((entries) => {
    const fields = entries.map(([key, value]) => `${JSON.stringify(key)}:${JSON.stringify(value) ?? 'null'}`)
    return `{${fields.join(',')}}`
  })
  return fc.oneof(
    { weight: 8, arbitrary: object },
    {
      weight: 1,
      arbitrary: fc
        .integer({ min: 1, max: 20_000 })
        .map((depth) => `${'['.repeat(depth)}${']'.repeat(depth)}`),
    },
    {
      weight: 1,
      arbitrary: object.map((text) => text.replace('{', '{"__proto__":{"x":1},"x":1e999,"x":2,')),
    },
  )
}

const RULES = `version = 1
# the orders
[resources.orders-db]
protocol = "tcp"
host = "db.corp.example"
port = 5432
cidr = ["10.0.0.0/8", "fd00::/8"]
expect = "private"

[resources.web]
protocol = "http"
host = "127.0.0.1"
port = 8080
allow_loopback = true
methods = ["GET"]
path_prefixes = ["/public/"]
`

const label = fc.constantFrom('a', 'db', 'xn--bcher-kva', '192', '0x7f', '1', '-', '_', 'ü', '%00', ' ', '')
const host = fc.array(label, { minLength: 1, maxLength: 5 }).map((labels) => labels.join('.'))
const authority = fc
  .tuple(
    fc.constantFrom('', '[', 'user@', '//', 'http://'),
    fc.oneof(host, fc.ipV4(), fc.ipV6(), fc.domain()),
    fc.constantFrom('', ']', ':80', ':0', ':65536', ':00080', ':', '#', '/x', ', b', '.'),
  )
  .map((parts) => parts.join(''))

/** Text from elsewhere: files that travel, answers of a relay, what a client calls a host. */
export const texts: readonly FuzzTarget[] = [
  {
    name: 'join-string',
    inputs: textWithDamage(fc.constant(JOIN_STRING)),
    check(bytes) {
      const invitation = readOrRefused(['JOIN_STRING'], () => parseJoinString(textOf(bytes)))
      if (invitation !== undefined) assert.equal(textOf(bytes).trim(), JOIN_STRING)
    },
  },
  {
    name: 'credentials',
    inputs: textWithDamage(jsonOf(CREDENTIALS)),
    check(bytes) {
      const read = readOrRefused(['CREDENTIALS'], () => parseCredentials(textOf(bytes)))
      if (read !== undefined) assert.match(read.connector, /^[a-z0-9][a-z0-9-]{0,62}$/)
    },
  },
  {
    name: 'control-answer',
    inputs: textWithDamage(
      fc.oneof(
        jsonOf({ result: { connected: true } }),
        jsonOf({ code: 'REVOKED', detail: 'x', leg: 'relay', next: '' }).map((error) => `{"error":${error}}`),
      ),
    ),
    check(bytes) {
      try {
        decodeResponse(Buffer.from(bytes))
      } catch (error) {
        assert.ok(isTunnelError(error) && Object.hasOwn(ERRORS, error.code), String(error))
      }
    },
  },
  {
    name: 'rules',
    inputs: textWithDamage(fc.constant(RULES)),
    check(bytes) {
      const rules = readOrRefused(['POLICY'], () => parseRules(textOf(bytes)))
      for (const [name, rule] of rules ?? []) assert.equal(rule.resource, name)
    },
  },
  {
    name: 'csr',
    inputs: textWithDamage(fc.constant(CSR)),
    async check(bytes) {
      const key = await awaitOrRefused(['IDENTITY'], verifyCsr(textOf(bytes)))
      if (key !== undefined) assert.equal(key.asymmetricKeyDetails?.namedCurve, 'prime256v1')
    },
  },
  {
    name: 'authority',
    inputs: textWithDamage(authority),
    check(bytes) {
      const text = textOf(bytes)
      const canonical = hostOf(text)
      if (canonical !== undefined) {
        assert.match(canonical, /^[a-z0-9._:-]{1,253}$/)
        assert.equal(hostOf(canonical.includes(':') ? `[${canonical}]` : canonical), canonical)
      }
      const address = readOrRefused(['CONFIG'], () => parseRelayAddress(text))
      if (address !== undefined) assert.equal(formatRelayAddress(address), text)
      const hostPort = parseHostPort(text)
      if (!hostPort.ok) return
      const written = formatHostPort(hostPort.value.host.text, hostPort.value.port)
      assert.deepEqual(parseHostPort(written), hostPort)
    },
  },
]
