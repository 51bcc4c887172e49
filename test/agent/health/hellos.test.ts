import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type Hello, MAX_ANSWER_BYTES, type Reading } from '../../../agent/health/hello.ts'
import { httpHello } from '../../../agent/health/http.ts'
import { helloOf, probeKind } from '../../../agent/health/kind.ts'
import { ldapHello } from '../../../agent/health/ldap.ts'
import { mysqlHello } from '../../../agent/health/mysql.ts'
import { postgresHello } from '../../../agent/health/postgres.ts'
import { redisHello } from '../../../agent/health/redis.ts'
import { smtpHello } from '../../../agent/health/smtp.ts'
import { makeRule } from '../../../agent/rules/parse.ts'

const bytes = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex')
const latin = (text: string) => Buffer.from(text, 'latin1')

/** Reads `answer` cut at every place: only where it is whole enough may it mean something, and always the same. */
function read(hello: Hello, answer: Buffer): Reading | undefined {
  const whole = hello.read(answer)
  for (let length = 1; length < answer.length; length++) {
    const part = hello.read(answer.subarray(0, length))
    if (part !== undefined) assert.equal(part.state, whole?.state, `after ${length} bytes`)
  }
  return whole
}

function assertForeign(hello: Hello, answer: Buffer): void {
  const reading = read(hello, answer)
  assert.equal(reading?.state, 'failing')
  assert.match(reading?.note ?? '', /^what answers is not /)
}

/** What MariaDB 10.11 sent, and OpenLDAP 2.5: with and without `require authc`. */
const MARIADB = bytes(
  '5a000000 0a 352e352e352d31302e31312e31392d4d6172696144422d302b64656231327531 00 20000000 7b 51 3a',
)
const LDAP_ENTRY = bytes('3009 020101 6404 0400 3000 300c 020101 6507 0a0100 0400 0400')
const LDAP_DONE = bytes('3023 020101 651e 0a0135 0400 0417 61757468656e7469636174696f6e207265717569726564')

describe('PostgreSQL', () => {
  test('is asked for TLS in eight bytes', () => {
    assert.deepEqual(postgresHello.ask, Uint8Array.of(0, 0, 0, 8, 4, 210, 22, 47))
  })

  test('answers S and waits for a handshake, or N', () => {
    assert.deepEqual(read(postgresHello, latin('S')), {
      state: 'ok',
      note: 'PostgreSQL, with TLS',
      startTls: true,
    })
    assert.deepEqual(read(postgresHello, latin('N')), { state: 'ok', note: 'PostgreSQL, without TLS' })
  })

  test('refuses with a text, which is no part of our own words', () => {
    const refusal = read(postgresHello, latin('EFATAL: the database 10.1.2.3 is starting\n\0'))
    assert.deepEqual([refusal?.state, refusal?.note], ['failing', 'PostgreSQL refuses'])
    assert.match(refusal?.said ?? '', /10\.1\.2\.3/)
  })

  test('is not what greets as a mail server', () => assertForeign(postgresHello, latin('220 mail\r\n')))
})

describe('MySQL', () => {
  test('greets with its version', () => {
    assert.deepEqual(read(mysqlHello, MARIADB), {
      state: 'ok',
      note: 'MySQL',
      said: '5.5.5-10.11.19-MariaDB-0+deb12u1',
    })
  })

  test('that has blocked this host says so', () => {
    const text = "Host '10.1.2.3' is blocked because of many connection errors"
    const length = 3 + text.length
    const refusal = read(
      mysqlHello,
      Buffer.concat([Buffer.from([length, 0, 0, 0, 0xff, 0x69, 4]), latin(text)]),
    )
    assert.deepEqual(refusal, { state: 'failing', note: 'MySQL refuses with error 1129', said: text })
  })

  test('is not what has another first packet', () => {
    assertForeign(mysqlHello, latin('SSH-2.0-OpenSSH_9.2\r\n'))
    assertForeign(mysqlHello, latin('HTTP/1.1 400 Bad Request\r\n'))
    assertForeign(mysqlHello, bytes('05000000 09 35 2e 30 00'))
  })

  test('is never spoken to, so that nothing counts as a login', () => {
    assert.deepEqual([mysqlHello.ask, mysqlHello.bye], [undefined, undefined])
  })
})

describe('Redis', () => {
  test('is well where it answers PING, wants a password or does not know the command', () => {
    for (const answer of [
      '+PONG\r\n',
      '-NOAUTH Authentication required.\r\n',
      "-NOPERM this user has no permissions to run the 'ping' command\r\n",
      "-ERR unknown command 'PING', with args beginning with: \r\n",
    ]) {
      assert.deepEqual(read(redisHello, latin(answer)), { state: 'ok', note: 'Redis' }, answer)
    }
  })

  test('is not well while it loads, is full or protects itself', () => {
    for (const answer of [
      '-LOADING Redis is loading the dataset in memory\r\n',
      '-ERR max number of clients reached\r\n',
      '-DENIED Redis is running in protected mode because\r\n',
      '-MASTERDOWN Link with MASTER is down\r\n',
    ]) {
      const refusal = read(redisHello, latin(answer))
      assert.deepEqual([refusal?.state, refusal?.note], ['failing', 'Redis refuses'], answer)
    }
  })

  test('is not what answers something else', () => {
    assertForeign(redisHello, latin('HTTP/1.1 400 Bad Request\r\n'))
    assertForeign(redisHello, latin('+OK Dovecot ready.\r\n'))
  })
})

describe('LDAP', () => {
  test('is asked for its root entry without a bind', () => {
    assert.equal(
      Buffer.from(ldapHello.ask ?? []).toString('hex'),
      '302a02010163250400' +
        '0a01000a0100020101020105010100' +
        '870b6f626a656374436c617373' +
        '30050403312e31',
    )
    assert.equal(Buffer.from(ldapHello.bye ?? []).toString('hex'), '30050201024200')
  })

  test('is well whatever it finds', () => {
    for (const answer of [
      LDAP_ENTRY,
      LDAP_DONE,
      bytes('30840000 0010 020101 6584 00000007 0a0100 0400 0400'),
    ]) {
      assert.deepEqual(read(ldapHello, answer), { state: 'ok', note: 'LDAP' })
    }
  })

  test('is not well where it is busy, unavailable or hangs up', () => {
    assert.equal(read(ldapHello, bytes('300c 020101 6507 0a0133 0400 0400'))?.state, 'failing')
    assert.equal(read(ldapHello, bytes('300c 020101 6507 0a0134 0400 0400'))?.state, 'failing')
    assert.equal(read(ldapHello, bytes('3010 020100 7807 0a0134 0400 0400'))?.state, 'failing')
  })

  test('is not what is no BER, or answers what was not asked', () => {
    assertForeign(ldapHello, latin('HTTP/1.1 400 Bad Request\r\n'))
    assertForeign(ldapHello, bytes('3009 020107 6404 0400 3000'))
    assertForeign(ldapHello, bytes('3009 020101 6104 0400 3000'))
  })
})

describe('SMTP', () => {
  test('greets in a line or in several, and is told QUIT', () => {
    const one = read(smtpHello, latin('220 mx.corp ESMTP Exim 4.96 Sun, 22 Nov 2026 10:00:00 +0000\r\n'))
    assert.deepEqual([one?.state, one?.note], ['ok', 'SMTP'])
    assert.match(one?.said ?? '', /Exim 4\.96/)
    assert.equal(smtpHello.read(latin('220-mx.corp ESMTP\r\n')), undefined)
    assert.equal(read(smtpHello, latin('220-mx.corp ESMTP\r\n220 no spam\r\n'))?.state, 'ok')
    assert.deepEqual(smtpHello.bye, latin('QUIT\r\n'))
  })

  test('may refuse', () => {
    const refusal = read(smtpHello, latin('554 5.7.1 your host 10.1.2.3 is not welcome\r\n'))
    assert.deepEqual([refusal?.state, refusal?.note], ['failing', 'SMTP refuses with 554'])
  })

  test('is not what greets without a number', () => {
    assertForeign(smtpHello, latin('SSH-2.0-OpenSSH_9.2\r\n'))
    assertForeign(smtpHello, latin('+OK POP3 ready\r\n'))
  })
})

describe('HTTP', () => {
  const rule = (more: object = {}) =>
    makeRule('web', { protocol: 'http', host: 'web.corp', port: 8080, ...more })
  const hello = (more: object = {}) => {
    const found = httpHello(rule(more))
    assert.ok(found !== undefined)
    return found
  }

  test('is asked for the head of the first path with the host of the rule', () => {
    const asked = hello({ path_prefixes: ['/api/', '/x'], host_header: 'intranet.corp' }).ask
    assert.equal(
      String(asked),
      'HEAD /api/ HTTP/1.1\r\nHost: intranet.corp\r\nUser-Agent: sallyport-health\r\nConnection: close\r\n\r\n',
    )
    assert.match(String(hello().ask), /^HEAD \/ HTTP\/1\.1\r\nHost: web\.corp:8080\r\n/)
  })

  test('is asked by no method that the rule does not name', () => {
    assert.match(String(hello({ methods: ['GET', 'POST'] }).ask), /^GET \/ /)
    assert.equal(httpHello(rule({ methods: ['POST'] })), undefined)
  })

  test('is well with every answer but those of a server in front of nothing', () => {
    const state = (status: string) => read(hello(), latin(`HTTP/1.1 ${status}\r\nServer: x\r\n\r\n`))?.state
    assert.deepEqual(
      ['200 OK', '301 Moved', '401 No', '404 Not Found', '501 No'].map(state),
      Array(5).fill('ok'),
    )
    assert.deepEqual(['500 Oh', '505 No'].map(state), ['warn', 'warn'])
    assert.deepEqual(['502 Bad', '503 Busy', '504 Late'].map(state), ['failing', 'failing', 'failing'])
  })

  test('is not what answers something else', () => {
    assertForeign(hello(), latin('220 mail ESMTP\r\n'))
    assertForeign(hello(), latin('HTTP/2 200\r\n'))
    assertForeign(hello(), bytes('00001204000000000000030000'))
  })
})

test('no hello says anything of a line that has no end', () => {
  for (const [hello, start] of [
    [redisHello, latin('+')],
    [smtpHello, latin('220 ')],
    [mysqlHello, bytes('ff030000 0a')],
  ] as const) {
    const answer = Buffer.concat([start, Buffer.alloc(MAX_ANSWER_BYTES - start.length, 'a')])
    assert.equal(hello.read(answer), undefined)
  }
})

test('the hello is chosen by the rule, and without its word by protocol and port', () => {
  const tcp = (port: number, probe?: string) =>
    makeRule('r', { protocol: 'tcp', host: 'a', port, ...(probe === undefined ? {} : { probe }) })
  const expected = {
    5432: 'postgres',
    3306: 'mysql',
    6379: 'redis',
    389: 'ldap',
    25: 'smtp',
    443: 'tls',
    1521: 'tcp',
  }
  for (const [port, kind] of Object.entries(expected)) assert.equal(probeKind(tcp(Number(port))), kind)
  assert.equal(probeKind(tcp(5432, 'none')), 'none')
  assert.equal(helloOf(tcp(6000, 'redis')), redisHello)
  assert.equal(helloOf(tcp(5432, 'tcp')), undefined)
  assert.equal(probeKind(makeRule('r', { protocol: 'http', host: 'a', port: 443 })), 'http')
})
