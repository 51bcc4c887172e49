import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type ApiAnswer, type ApiKit, startApiKit } from '../../support/api-kit.ts'

const ENVIRONMENTS = '/tenants/default/environments'

let api: ApiKit
let owner: string

before(async () => {
  api = await startApiKit()
  owner = api.callers.withRole('owner')
})

after(() => api[Symbol.asyncDispose]())

function refusedWith({ status, headers, body }: ApiAnswer, expected: number, code: string): void {
  assert.deepEqual([status, body.code], [expected, code])
  assert.equal(body.status, expected)
  assert.equal(body.type, `urn:sallyport:problem:${code}`)
  assert.match(String(body.traceId), /^[0-9a-f]{32}$/)
  assert.equal(headers['content-type'], 'application/problem+json')
}

describe('an answer', () => {
  it('is kept by nobody, framed by nobody, and read by no page of another site', async () => {
    const { status, headers } = await api.ask('GET', ENVIRONMENTS, {
      token: owner,
      headers: { origin: `https://127.0.0.1:${api.kit.port}` },
    })
    assert.equal(status, 200)
    assert.equal(headers['cache-control'], 'no-store')
    assert.equal(headers['x-content-type-options'], 'nosniff')
    assert.match(String(headers['content-security-policy']), /^default-src 'none';.* frame-ancestors 'none'$/)
    assert.deepEqual(
      Object.keys(headers).filter((name) => name.startsWith('access-control')),
      [],
    )
  })

  it('to HEAD is that of GET without its body, and OPTIONS grants nothing', async () => {
    const [get, head] = [
      await api.ask('GET', ENVIRONMENTS, { token: owner }),
      await api.ask('HEAD', ENVIRONMENTS, { token: owner }),
    ]
    assert.deepEqual([head.status, head.text, head.headers.etag], [200, '', get.headers.etag])
    const options = await api.ask('OPTIONS', ENVIRONMENTS, {
      headers: { origin: 'https://evil.example', 'access-control-request-method': 'POST' },
    })
    refusedWith(options, 405, 'HTTP_METHOD')
    assert.equal(options.headers.allow, 'GET, HEAD, POST')
  })

  it('has a tag, and is not sent to who has it already', async () => {
    const { headers, text } = await api.ask('GET', ENVIRONMENTS, { token: owner })
    const tag = String(headers.etag)
    assert.match(tag, /^"[\w-]{27}"$/)
    for (const known of [tag, `W/${tag}`, `"x", ${tag}`, '*']) {
      const again = await api.ask('GET', ENVIRONMENTS, { token: owner, headers: { 'if-none-match': known } })
      assert.deepEqual([again.status, again.text, again.headers.etag], [304, '', tag])
    }
    const other = await api.ask('GET', ENVIRONMENTS, { token: owner, headers: { 'if-none-match': '"x"' } })
    assert.deepEqual([other.status, other.text], [200, text])
  })

  it('keeps the connection of who is known, and closes it on nobody', async () => {
    assert.equal(
      (await api.ask('GET', '/openapi.json', { headers: { connection: 'keep-alive' } })).headers.connection,
      'close',
    )
    const known = await api.ask('GET', ENVIRONMENTS, { token: owner, headers: { connection: 'keep-alive' } })
    assert.equal(known.headers.connection, 'keep-alive')
  })
})

describe('bad input', () => {
  it('is answered with the member and the rule, and changes nothing', async () => {
    const cases: readonly [object, string, RegExp][] = [
      [{ environment: 7 }, 'environment', /string/],
      [{ environment: 'x'.repeat(513) }, 'environment', /max_length <=512/],
      [{ environment: 'ok', isProduction: 'yes' }, 'isProduction', /boolean/],
      [{}, 'environment', /./],
      [{ environment: 'ok', extra: 1 }, 'extra', /never/],
      [{ environment: 'ok', tenant: 'other' }, 'tenant', /unique_name/],
    ]
    for (const [body, field, rule] of cases) {
      const answer = await api.ask('POST', ENVIRONMENTS, { token: owner, body })
      refusedWith(answer, 400, 'INPUT')
      assert.equal(answer.body.field, field)
      assert.match(String(answer.body.rule), rule)
    }
    assert.doesNotMatch((await api.ask('GET', ENVIRONMENTS, { token: owner })).text, /"ok"/)
  })

  it('S21: with a name twice, a prototype, or a number out of range is refused, too', async () => {
    for (const body of [
      '{"environment":"a","environment":"b"}',
      '{"environment":"a","__proto__":{}}',
      '{"environment":1e999}',
      '['.repeat(50_000),
    ]) {
      refusedWith(await api.ask('POST', ENVIRONMENTS, { token: owner, body }), 400, 'INPUT')
    }
    refusedWith(await api.ask('POST', ENVIRONMENTS, { token: owner, body: '[]' }), 400, 'INPUT')
    refusedWith(await api.ask('POST', ENVIRONMENTS, { token: owner, body: '{' }), 400, 'HTTP_BAD_REQUEST')
    refusedWith(
      await api.ask('POST', ENVIRONMENTS, { token: owner, body: Buffer.from([0x22, 0xff, 0x22]) }),
      400,
      'HTTP_BAD_REQUEST',
    )
  })

  it('is refused by its length before it is read, and where it lies about that', async () => {
    const long = `{"environment":"${'x'.repeat(1_048_576)}"}`
    refusedWith(await api.ask('POST', ENVIRONMENTS, { token: owner, body: long }), 413, 'HTTP_BODY_TOO_LARGE')
    const headers = { 'transfer-encoding': 'chunked', 'content-length': [] }
    refusedWith(
      await api.ask('POST', ENVIRONMENTS, { token: owner, body: long, headers }),
      413,
      'HTTP_BODY_TOO_LARGE',
    )
  })

  it('S07: of another type than JSON is refused', async () => {
    for (const type of [
      'text/plain',
      'application/x-www-form-urlencoded',
      'multipart/form-data',
      'application/jsonx',
      'application/json; charset=utf-16',
    ]) {
      const answer = await api.ask('POST', ENVIRONMENTS, {
        token: owner,
        body: '{"environment":"a"}',
        headers: { 'content-type': type },
      })
      refusedWith(answer, 415, 'HTTP_MEDIA_TYPE')
    }
    const packed = await api.ask('POST', ENVIRONMENTS, {
      token: owner,
      body: '{}',
      headers: { 'content-encoding': 'gzip' },
    })
    refusedWith(packed, 415, 'HTTP_MEDIA_TYPE')
  })

  it('in a query is refused like that in a body', async () => {
    const twice = await api.ask('GET', '/tenants/default/status?environment=a&environment=b', {
      token: owner,
    })
    refusedWith(twice, 400, 'INPUT')
    refusedWith(await api.ask('GET', '/tenants/default/status?nothing=1', { token: owner }), 400, 'INPUT')
    refusedWith(await api.ask('DELETE', `${ENVIRONMENTS}/x?force=1`, { token: owner }), 400, 'INPUT')
  })
})

describe('S07: with a session’s cookie', () => {
  const body = { environment: 'test' }

  it('a change takes the page’s own origin and its header', async () => {
    const own = `https://127.0.0.1:${api.kit.port}`
    const right = { origin: own, 'x-sallyport-request': '1' }
    const foreign: Record<string, string>[] = [
      {},
      { origin: own },
      { 'x-sallyport-request': '1' },
      { ...right, origin: 'https://evil.example' },
      { ...right, origin: 'https://127.0.0.1' },
      { ...right, origin: `http://127.0.0.1:${api.kit.port}` },
      { ...right, origin: `${own}.evil.example` },
      { ...right, origin: 'null' },
      { ...right, 'sec-fetch-site': 'same-site' },
      { ...right, 'sec-fetch-site': 'cross-site' },
    ]
    for (const headers of foreign) {
      refusedWith(
        await api.ask('POST', ENVIRONMENTS, { session: owner, body, headers }),
        403,
        'FOREIGN_ORIGIN',
      )
    }
    // The name is taken, so nothing changes; but it was asked.
    refusedWith(
      await api.ask('POST', ENVIRONMENTS, { session: owner, body, headers: right }),
      409,
      'CONFLICT',
    )
  })

  it('a foreign page reads nothing either, and a token does not help it', async () => {
    const foreign = { origin: 'https://evil.example' }
    refusedWith(
      await api.ask('GET', ENVIRONMENTS, { session: owner, headers: foreign }),
      403,
      'FOREIGN_ORIGIN',
    )
    refusedWith(await api.ask('GET', ENVIRONMENTS, { token: owner, headers: foreign }), 403, 'FOREIGN_ORIGIN')
    refusedWith(
      await api.ask('GET', ENVIRONMENTS, { session: owner, headers: { 'sec-fetch-site': 'cross-site' } }),
      403,
      'FOREIGN_ORIGIN',
    )
    assert.equal((await api.ask('GET', ENVIRONMENTS, { session: owner })).status, 200)
  })
})

describe('S41: who asks', () => {
  it('is nobody with a token that does not hold, whatever its form', async () => {
    const encode = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')
    const claims = encode({ sub: owner, tenant: 'default', role: 'owner', exp: 99_999_999_999 })
    const heads = [
      { alg: 'none' },
      { alg: 'HS256' },
      { alg: 'RS256', kid: '../../../etc/passwd' },
      { alg: 'ES256', typ: 'x', aud: 'y' },
    ]
    const tokens = [
      ...heads.map((head) => `${encode(head)}.${claims}.`),
      ...heads.map((head) => `${encode(head)}.${claims}.AAAA`),
      'x',
      'Bearer',
      `${owner}x`,
    ]
    for (const token of tokens) {
      const answer = await api.ask('GET', ENVIRONMENTS, { token })
      refusedWith(answer, 401, 'LOGIN')
      assert.match(String(answer.headers['www-authenticate']), /^Bearer/)
    }
  })

  it('shows one thing, once', async () => {
    const wrong: Record<string, string>[] = [
      { authorization: 'Basic b3duZXI6' },
      { authorization: 'Bearer' },
      { authorization: `Bearer  ${owner}` },
      { authorization: `Bearer ${owner} x` },
      { authorization: `Bearer ${owner}`, cookie: `__Host-sallyport=${owner}` },
      { cookie: `__Host-sallyport=${owner}; __Host-sallyport=x` },
      { cookie: `sallyport=${owner}` },
      { cookie: `__Host-Sallyport=${owner}` },
      { cookie: '__Host-sallyport=' },
    ]
    for (const headers of wrong) refusedWith(await api.ask('GET', ENVIRONMENTS, { headers }), 401, 'LOGIN')
  })

  it('calls the relay by its own name', async () => {
    for (const host of ['evil.example', 'localhost', `evil.example:${api.kit.port}`]) {
      refusedWith(
        await api.ask('GET', ENVIRONMENTS, { token: owner, headers: { host } }),
        421,
        'HTTP_MISDIRECTED',
      )
    }
  })

  it('is noted where a token does not hold', async () => {
    await api.ask('GET', ENVIRONMENTS, { token: 'n0b0dy' })
    await api.kit.relay.trail.flush()
    const { records } = await api.kit.relay.authority.store.readAudit('@relay', {
      order: 'newest',
      limit: 1,
      filter: {},
    })
    assert.deepEqual(
      records.map(({ action, object, outcome }) => [action, object, outcome]),
      [['operation.refuse', 'environment.list', 'LOGIN']],
    )
  })
})

describe('If-Match', () => {
  it('refuses a change of what is no longer as it was read', async () => {
    const headers = { 'if-match': '"x"' }
    const answer = await api.ask('DELETE', `${ENVIRONMENTS}/test`, { token: owner, headers })
    refusedWith(answer, 412, 'PRECONDITION')
    assert.match((await api.ask('GET', ENVIRONMENTS, { token: owner })).text, /"test"/)
  })

  it('lets a change of what is as it was read pass', async () => {
    const { headers } = await api.ask('GET', ENVIRONMENTS, { token: owner })
    const body = { environment: 'staging' }
    const answer = await api.ask('POST', ENVIRONMENTS, {
      token: owner,
      body,
      headers: { 'if-match': String(headers.etag) },
    })
    assert.equal(answer.status, 200)
    refusedWith(
      await api.ask('POST', ENVIRONMENTS, {
        token: owner,
        body: { environment: 'other' },
        headers: { 'if-match': String(headers.etag) },
      }),
      412,
      'PRECONDITION',
    )
  })
})

describe('rates', () => {
  it('are those of a caller and of an address, and say when to come again', async () => {
    await using slow = await startApiKit({
      apiLimits: { callerBurst: 2, callerPerSecond: 0.01, addressBurst: 5, addressPerSecond: 0.01 },
    })
    const token = slow.callers.withRole('owner')
    const statuses: number[] = []
    for (let at = 0; at < 6; at++) {
      const answer = await slow.ask('GET', ENVIRONMENTS, at < 4 ? { token } : {})
      statuses.push(answer.status)
      if (answer.status === 429)
        assert.deepEqual([answer.body.code, answer.headers['retry-after']], ['ENHANCE_CALM', '1'])
    }
    assert.deepEqual(statuses, [200, 200, 429, 429, 401, 429])
  })
})
