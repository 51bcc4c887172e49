import assert from 'node:assert/strict'
import http from 'node:http'
import { test } from 'node:test'
import { requestFault } from '../../../shared/http/request-fault.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../../shared/http/server.ts'
import { listen, raw } from './kit.ts'

async function verdict(t: Parameters<typeof listen>[0], text: string): Promise<string> {
  const server = http.createServer(HTTP_SERVER_OPTIONS, (request, response) => {
    const fault = requestFault(request, 200)
    response.setHeader('Connection', 'close')
    response.end(fault === undefined ? 'passed' : `${fault.code}: ${fault.detail}`)
  })
  hardenServer(server, { after: soon })
  const answer = await raw(await listen(t, server), text)
  return answer.text
}

function soon(_: number, callback: () => void): () => void {
  const immediate = setImmediate(callback)
  return () => clearImmediate(immediate)
}

const HOST = 'Host: a\r\n'

test('well formed requests pass', async (t) => {
  for (const text of [
    `GET / HTTP/1.1\r\n${HOST}\r\n`,
    `GET /a;b=c/%2e?x=y HTTP/1.0\r\n${HOST}\r\n`,
    `POST / HTTP/1.1\r\n${HOST}Content-Length: 3\r\n\r\nabc`,
    `POST / HTTP/1.1\r\n${HOST}Transfer-Encoding: Chunked\r\n\r\n0\r\n\r\n`,
    `PROPFIND / HTTP/1.1\r\n${HOST}${'A: b\r\n'.repeat(199)}\r\n`,
  ]) {
    assert.match(await verdict(t, text), /passed$/, text)
  }
})

test('a request line that is not a plain one is refused', async (t) => {
  for (const line of [
    'GET http://169.254.169.254/ HTTP/1.1',
    'GET //a@b/ HTTP/2.0',
    'OPTIONS * HTTP/1.1',
    'GET /#fragment HTTP/1.1',
    'TRACE / HTTP/1.1',
    'GET /',
  ]) {
    assert.match(await verdict(t, `${line}\r\n${HOST}\r\n`), /HTTP_BAD_REQUEST/, line)
  }
})

test('a header that must stand once is refused when it stands twice or is missing', async (t) => {
  const lines = [
    '',
    'Host: \r\n',
    'Host: a\r\nHost: a\r\n',
    `${HOST}Authorization: a\r\nAuthorization: b\r\n`,
    `${HOST}Transfer-Encoding: gzip, chunked\r\n`,
  ]
  for (const headers of lines) {
    assert.match(await verdict(t, `GET / HTTP/1.1\r\n${headers}\r\n`), /HTTP_BAD_REQUEST/, headers)
  }
  const old = `POST / HTTP/1.0\r\n${HOST}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`
  assert.match(await verdict(t, old), /HTTP_BAD_REQUEST: Transfer-Encoding needs/)
})

test('too many headers and too large ones are answered with 431', async (t) => {
  const many = await verdict(t, `GET / HTTP/1.1\r\n${HOST}${'A: b\r\n'.repeat(200)}\r\n`)
  assert.match(many, /HTTP_HEADERS_TOO_LARGE: More than 200/)
  const thousands = await verdict(t, `GET / HTTP/1.1\r\n${HOST}${'A:b\r\n'.repeat(3_000)}\r\n`)
  assert.match(thousands, /HTTP_HEADERS_TOO_LARGE/)
  const large = await verdict(t, `GET / HTTP/1.1\r\n${HOST}A: ${'x'.repeat(17 * 1024)}\r\n\r\n`)
  assert.match(large, /^HTTP\/1\.1 431 [\s\S]*problem\+json[\s\S]*HTTP_HEADERS_TOO_LARGE/)
})

test('what the parser refuses is answered with a problem document and the connection closed', async (t) => {
  const answer = await verdict(t, `GET / HTTP/1.1\nHost: a\n\nGET / HTTP/1.1\r\n${HOST}\r\n`)
  assert.match(answer, /^HTTP\/1\.1 400 Bad Request\r\nContent-Type: application\/problem\+json\r\n/)
  assert.match(answer, /\r\nConnection: close\r\n/)
  assert.equal(answer.match(/HTTP\/1\.1/g)?.length, 1)
})
