import assert from 'node:assert/strict'
import fc from 'fast-check'
import { isTunnelError } from '../../../shared/errors.ts'
import { HttpConnect } from '../../../shared/network/http-connect.ts'
import { parsePacAnswer } from '../../../shared/network/pac-answer.ts'
import { parseProxyCredentials, parseProxyUrl } from '../../../shared/network/route.ts'
import { Socks5 } from '../../../shared/network/socks5.ts'
import { textWithDamage, withDamage } from '../damage.ts'
import { type FuzzTarget, readOrRefused } from '../target.ts'

const TARGET = { host: 'relay.example.org', port: 443 }
const CODES = ['PROXY_AUTH', 'PROXY_REFUSED', 'PROXY_UNREACHABLE']

/** Randomness and time that are the same in each reading. */
const effects = { randomBytes: (length: number) => Buffer.alloc(length, 7), date: () => 1_800_000_000_000 }

const proxyOf = (url: string) => {
  const { route } = parseProxyUrl(url)
  return { target: TARGET, proxy: route, credentials: parseProxyCredentials('user:password'), effects }
}

interface Talk {
  begin(): Buffer
  push(chunk: Buffer): { readonly kind: string; readonly bytes?: Buffer; readonly rest?: Buffer }
}

/** What a talk with a proxy comes to where it says these pieces; bytes behind the open way are not the talk's any more. */
function outcome(talk: Talk, pieces: readonly Buffer[]): string {
  const moves = [talk.begin().toString('hex')]
  try {
    for (const piece of pieces) {
      const { kind, bytes } = talk.push(piece)
      if (kind === 'wait') continue
      moves.push(`${kind} ${bytes?.toString('hex') ?? ''}`)
      if (kind === 'open' || kind === 'reconnect') break
    }
  } catch (error) {
    assert.ok(isTunnelError(error) && CODES.includes(error.code), String(error))
    moves.push(error.code)
  }
  return moves.join('\n')
}

function talkTarget(name: string, inputs: fc.Arbitrary<Uint8Array>, start: () => Talk): FuzzTarget {
  return {
    name,
    inputs,
    check(bytes) {
      const said = Buffer.from(bytes)
      outcome(start(), [said])
      // An answer is followed by the next only when it was asked for: byte by byte is how a proxy may well speak.
      outcome(
        start(),
        Array.from(said, (byte) => Buffer.of(byte)),
      )
    },
  }
}

const NTLM2 = Buffer.concat([
  Buffer.from('NTLMSSP\0', 'latin1'),
  Buffer.from('0200000000000000380000000582820001234567 89abcdef0000000000000000'.replaceAll(' ', ''), 'hex'),
  Buffer.alloc(24),
]).toString('base64')

const header = fc.constantFrom(
  'Proxy-Authenticate: Basic realm="a"',
  'Proxy-Authenticate: Digest realm="a", nonce="b", qop="auth", algorithm=SHA-256',
  'Proxy-Authenticate: Digest realm="a\\", nonce=',
  'Proxy-Authenticate: NTLM',
  `Proxy-Authenticate: NTLM ${NTLM2}`,
  'Proxy-Authenticate: Negotiate, Basic realm=a, Digest',
  'Content-Length: 5',
  'Content-Length: 99999999999999999999',
  'Content-Length: -1',
  'Transfer-Encoding: chunked',
  'Connection: close',
  `X: ${'y'.repeat(3_000)}`,
)

const answer = fc
  .tuple(
    fc.constantFrom('407 No', '200 Open', '100 Continue', '502 Bad', '403', '999 x', ''),
    fc.array(header, { maxLength: 4 }),
    fc.constantFrom('', 'hello', '5\r\nhello\r\n0\r\n\r\n', 'ffffffffffffffff\r\n'),
  )
  .map(([status, headers, body]) => [`HTTP/1.1 ${status}`, ...headers, '', body].join('\r\n'))

const socks = fc
  .array(
    fc.constantFrom(
      [5, 0],
      [5, 2],
      [5, 255],
      [1, 0],
      [1, 1],
      [5, 0, 0, 1, 127, 0, 0, 1, 1, 187],
      [5, 2, 0, 1, 0, 0, 0, 0, 0, 0],
      [5, 0, 0, 3, 4, 97, 98, 99, 100, 0, 80],
      [5, 0, 0, 4, ...Array<number>(18).fill(9)],
    ),
    { minLength: 1, maxLength: 5 },
  )
  .map((parts) => Uint8Array.from(parts.flat()))

/** What a proxy, or a PAC file, answers on the way to the relay. */
export const proxies: readonly FuzzTarget[] = [
  talkTarget(
    'proxy-connect',
    textWithDamage(fc.array(answer, { minLength: 1, maxLength: 4 }).map((answers) => answers.join(''))),
    () => new HttpConnect(proxyOf('http://proxy.example:3128')),
  ),
  talkTarget('proxy-socks', withDamage(socks), () => new Socks5(proxyOf('socks5://proxy.example:1080'))),
  {
    name: 'pac-answer',
    inputs: textWithDamage(
      fc
        .array(
          fc.constantFrom(
            'DIRECT',
            'PROXY a:8080',
            'SOCKS5 [::1]:1',
            'HTTPS a',
            'PROXY u:p@a:1',
            'SOCKS4 a:1',
            ' ',
          ),
          { maxLength: 12 },
        )
        .map((parts) => parts.join(';')),
    ),
    check(bytes) {
      const routes = readOrRefused(['PAC'], () => parsePacAnswer(Buffer.from(bytes).toString('utf8')))
      assert.ok(routes === undefined || (routes.length > 0 && routes.length <= 8))
    },
  },
]
