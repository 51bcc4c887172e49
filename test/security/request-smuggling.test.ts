import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import { createHttpTarget } from '../../agent/http-target.ts'
import { createHttpIngress } from '../../relay/ingress/http.ts'
import { HTTP_SERVER_OPTIONS, hardenServer } from '../../shared/http/server.ts'
import { createLog } from '../../shared/log.ts'
import { listen, once, raw, read } from '../shared/http/kit.ts'

const SMUGGLED = 'GET /admin HTTP/1.1\r\nHost: app.example\r\n\r\n'
const log = createLog({ level: 'silent' })

interface Road {
  readonly port: number
  /** All bytes of each connection that the target got. */
  readonly seen: () => string[]
}

/** Client, the ingress of a relay, an agent and a target that takes anything and answers each whole request. */
async function road(
  t: TestContext,
  answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok',
): Promise<Road> {
  const connections: Buffer[][] = []
  const target = net.createServer((socket) => {
    const chunks: Buffer[] = []
    connections.push(chunks)
    socket.on('error', () => undefined)
    socket.on('data', (chunk) => {
      chunks.push(chunk)
      if (isWhole(Buffer.concat(chunks).toString('latin1'))) socket.write(answer)
    })
  })
  const targetPort = await listen(t, target)
  const site = createHttpTarget({
    rule: { resource: 'web', host: { kind: 'name', text: 'crm.corp' }, port: 80 },
    dial: () => net.connect(targetPort, '127.0.0.1'),
    log,
  })
  const tunnelPort = await listen(
    t,
    net.createServer({ allowHalfOpen: true }, (stream) => site.accept(stream, { fromIngress: true })),
  )
  const ingress = createHttpIngress({
    route: (host) =>
      host === 'app.example'
        ? { tenantId: 'default', environment: 'production', site: 's', resource: 'web', host }
        : undefined,
    open: () => net.connect({ port: tunnelPort, host: '127.0.0.1', allowHalfOpen: true }),
    log,
  })
  const server = http.createServer(HTTP_SERVER_OPTIONS)
  hardenServer(server)
  server.on('request', ingress.handle).on('checkContinue', ingress.handle).on('upgrade', ingress.upgrade)
  const port = await listen(t, server)
  return { port, seen: () => connections.map((chunks) => Buffer.concat(chunks).toString('latin1')) }
}

interface Reading {
  readonly line: string
  readonly body: string
  /** What is left behind the one request, under the only framing that its head allows. */
  readonly rest: string
}

/**
 * Reads one request the way any server must. Throws where two servers could disagree: both or repeated framing
 * headers, odd spellings of them, or a line end that is not CRLF.
 */
function readOne(bytes: string): Reading {
  const end = bytes.indexOf('\r\n\r\n')
  assert.ok(end >= 0, 'no whole head')
  const [line = '', ...headers] = bytes.slice(0, end).split('\r\n')
  assert.doesNotMatch(bytes.slice(0, end).replaceAll('\r\n', ''), /[\r\n\0]/)
  const framing = headers.filter((header) => /^\s|content.?length|transfer.?encoding/i.test(header))
  assert.ok(framing.length <= 1, `framed twice: ${framing.join(' | ')}`)
  const after = bytes.slice(end + 4)
  const [header] = framing
  if (header === undefined) return { line, body: '', rest: after }
  const length = /^Content-Length: (\d+)$/.exec(header)?.[1]
  if (length !== undefined)
    return { line, body: after.slice(0, Number(length)), rest: after.slice(Number(length)) }
  assert.equal(header, 'Transfer-Encoding: chunked')
  return { line, ...unchunk(after) }
}

function unchunk(text: string): { body: string; rest: string } {
  let body = ''
  let at = 0
  for (;;) {
    const [whole, size] = /^([0-9a-f]+)\r\n/i.exec(text.slice(at)) ?? []
    assert.ok(
      whole !== undefined && size !== undefined,
      `no plain chunk size at ${JSON.stringify(text.slice(at, at + 20))}`,
    )
    at += whole.length
    const length = Number.parseInt(size, 16)
    if (length === 0) return { body, rest: text.slice(text.indexOf('\r\n', at) + 2) }
    body += text.slice(at, at + length)
    at += length + 2
  }
}

function isWhole(bytes: string): boolean {
  const end = bytes.indexOf('\r\n\r\n')
  if (end < 0) return false
  if (/\r\nTransfer-Encoding:/i.test(bytes.slice(0, end))) return bytes.endsWith('0\r\n\r\n')
  const length = /\r\nContent-Length: (\d+)/i.exec(bytes.slice(0, end))?.[1] ?? '0'
  return bytes.length >= end + 4 + Number(length)
}

function post(lines: readonly string[], body: string, method = 'POST'): string {
  return [`${method} / HTTP/1.1`, 'Host: app.example', ...lines, '', body].join('\r\n')
}

const CHUNKED = 'Transfer-Encoding: chunked'
const LENGTH = `Content-Length: ${SMUGGLED.length}`
const ZERO = '0\r\n\r\n'

/** Requests that two servers could read as different ones. */
const AMBIGUOUS: Readonly<Record<string, string>> = {
  'CL.TE': post([`Content-Length: ${ZERO.length + SMUGGLED.length}`, CHUNKED], ZERO + SMUGGLED),
  'TE.CL': post([CHUNKED, 'Content-Length: 4'], `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${ZERO}`),
  'TE.TE': post([CHUNKED, 'Transfer-Encoding: identity'], ZERO + SMUGGLED),
  'TE twice': post([CHUNKED, CHUNKED], ZERO + SMUGGLED),
  'TE list': post(['Transfer-Encoding: gzip, chunked'], ZERO + SMUGGLED),
  'TE chunked first': post(['Transfer-Encoding: chunked, identity'], ZERO + SMUGGLED),
  'TE of another name': post(['Transfer-Encoding: xchunked', LENGTH], SMUGGLED),
  'TE with vertical tab': post(['Transfer-Encoding: \x0bchunked', LENGTH], SMUGGLED),
  'TE with blank before the colon': post(['Transfer-Encoding : chunked', LENGTH], ZERO + SMUGGLED),
  'TE folded': post(['Transfer-Encoding:\r\n chunked', LENGTH], ZERO + SMUGGLED),
  'TE behind a bare LF': post([`X: y\n${CHUNKED}`, LENGTH], ZERO + SMUGGLED),
  'TE behind a bare CR': post([`X: y\r${CHUNKED}`, LENGTH], ZERO + SMUGGLED),
  'TE behind NUL': post([`X: y\0\r\n${CHUNKED}`, LENGTH], ZERO + SMUGGLED),
  'TE in HTTP/1.0': post([CHUNKED], ZERO + SMUGGLED).replace('HTTP/1.1', 'HTTP/1.0'),
  'CL twice, different': post(['Content-Length: 0', LENGTH], SMUGGLED),
  'CL twice, equal': post(['Content-Length: 0', 'Content-Length: 0'], SMUGGLED),
  'CL list': post(['Content-Length: 0, 0'], SMUGGLED),
  'CL with plus': post(['Content-Length: +0'], SMUGGLED),
  'CL with minus': post(['Content-Length: -1'], SMUGGLED),
  'CL in hex': post(['Content-Length: 0x0'], SMUGGLED),
  'CL with a blank inside': post(['Content-Length: 0 0'], SMUGGLED),
  'CL with blank before the colon': post(['Content-Length : 0'], SMUGGLED),
  'CL empty': post(['Content-Length: '], SMUGGLED),
  'CL beyond any number': post(['Content-Length: 18446744073709551616'], SMUGGLED),
  'CL folded': post(['X: y', ' Content-Length: 0'], SMUGGLED),
  'head in bare LF': post([LENGTH], '').replaceAll('\r\n', '\n') + SMUGGLED,
  'blank before the first header': `POST / HTTP/1.1\r\n Host: app.example\r\n\r\n${SMUGGLED}`,
  'two Hosts': post(['Host: other.example', 'Content-Length: 0'], SMUGGLED),
  'absolute form': `GET http://other.example/ HTTP/1.1\r\nHost: app.example\r\n\r\n${SMUGGLED}`,
  'authority form': `CONNECT app.example:80 HTTP/1.1\r\nHost: app.example\r\n\r\n${SMUGGLED}`,
  'asterisk form': `OPTIONS * HTTP/1.1\r\nHost: app.example\r\n\r\n${SMUGGLED}`,
  TRACE: `TRACE / HTTP/1.1\r\nHost: app.example\r\n\r\n${SMUGGLED}`,
  'CRLF in the target': `GET /\r\nX: y HTTP/1.1\r\nHost: app.example\r\n\r\n${SMUGGLED}`,
  'HTTP/0.9': `GET /\r\n\r\n${SMUGGLED}`,
  'HTTP/2.0': `GET / HTTP/2.0\r\nHost: app.example\r\n\r\n${SMUGGLED}`,
}

for (const [name, attack] of Object.entries(AMBIGUOUS)) {
  test(`${name}: refused, and neither it nor what follows reaches the target`, async (t) => {
    const { port, seen } = await road(t)
    const { text } = await raw(port, attack)
    assert.match(text === '' ? 'closed' : text, /^(?:closed|HTTP\/1\.1 4\d\d )/)
    assert.ok((text.match(/HTTP\/1\.1 /g)?.length ?? 0) <= 1, 'answered more than once')
    assert.deepEqual(seen(), [])
  })
}

/** Bodies that begin well: the head may have gone on before the fault shows, but no request behind it may. */
const BAD_CHUNKS: Readonly<Record<string, string>> = {
  'chunk size beyond any number': 'fffffffffffffffff\r\nx',
  'chunk size with sign': '-1\r\nx',
  'chunk size with 0x': '0x1\r\nx\r\n',
  'chunk size with a blank': '1 \r\nx\r\n',
  'chunk lines in bare LF': '1\nx\n0\n\n',
  'chunk extension in bare LF': '1;a\nx\r\n',
  'chunk longer than it says': '1\r\nxyz\r\n',
  'no chunk at all': '',
  'bare CR behind a chunk': '1\r\nx\r0\r\n\r\n',
  'folded trailer': '0\r\nX: y\r\n z: w\r\n\r\n',
  'length in a trailer': '0\r\nContent-Length: 5\r\n\r\n',
}

for (const [name, chunks] of Object.entries(BAD_CHUNKS)) {
  test(`${name}: the connection ends, and no second request reaches the target`, async (t) => {
    const { port, seen } = await road(t)
    const { text } = await raw(port, post([CHUNKED], chunks + SMUGGLED))
    assert.doesNotMatch(text, /HTTP\/1\.1 200/)
    for (const bytes of seen()) assert.doesNotMatch(bytes, /admin|x\r\n/)
  })
}

/** Requests that are right but that careless proxies frame anew by their method. */
const UNUSUAL: Readonly<Record<string, string>> = {
  'chunked DELETE': post([CHUNKED], `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${ZERO}`, 'DELETE'),
  'chunked OPTIONS': post([CHUNKED], `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${ZERO}`, 'OPTIONS'),
  'chunked GET': post([CHUNKED], `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${ZERO}`, 'GET'),
  'chunked HEAD': post([CHUNKED], `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${ZERO}`, 'HEAD'),
  'GET with a length': post([LENGTH], SMUGGLED, 'GET'),
  'DELETE with a length': post([LENGTH], SMUGGLED, 'DELETE'),
  'chunk extensions': post([CHUNKED], `${SMUGGLED.length.toString(16)};a="b"\r\n${SMUGGLED}\r\n${ZERO}`),
  'TE after a tab': post(
    ['Transfer-Encoding:\tChunked'],
    `${SMUGGLED.length.toString(16)}\r\n${SMUGGLED}\r\n${ZERO}`,
  ),
  'framing named by Connection': post(['Connection: close, content-length', LENGTH], SMUGGLED),
  'framing in folded names': post([LENGTH, 'Content_Length: 0', 'Transfer_Encoding: chunked'], SMUGGLED),
  'an h2c upgrade with a body': post(['Connection: Upgrade', 'Upgrade: h2c', LENGTH], SMUGGLED),
}

for (const [name, sent] of Object.entries(UNUSUAL)) {
  test(`${name}: one request with the body inside it`, async (t) => {
    const { port, seen } = await road(t)
    const socket = net.connect(port)
    socket.on('error', () => undefined)
    socket.write(sent)
    assert.match(String(await once<Buffer>(socket, 'data')), /^HTTP\/1\.1 200 /)
    socket.destroy()
    const [bytes = '', ...others] = seen()
    assert.deepEqual(others, [])
    const { line, body, rest } = readOne(bytes)
    assert.match(line, /^[A-Z]+ \/ HTTP\/1\.1$/)
    assert.equal(body, SMUGGLED)
    assert.equal(rest, '')
  })
}

test('S46: each request has a connection of its own, so an early answer reaches nobody', async (t) => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nmine'
  const poison = 'HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison'
  const { port, seen } = await road(t, answer + poison)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  for (let i = 0; i < 4; i++) {
    const client = http.get({ port, agent, path: `/${i}`, headers: { host: 'app.example' } })
    assert.equal(await read(await once<http.IncomingMessage>(client, 'response')), 'mine')
  }
  assert.deepEqual(
    seen().map((bytes) => readOne(bytes).line),
    ['GET /0 HTTP/1.1', 'GET /1 HTTP/1.1', 'GET /2 HTTP/1.1', 'GET /3 HTTP/1.1'],
  )
})

test('a request that is done in the middle of its body leaves nothing for the next one', async (t) => {
  const { port, seen } = await road(t)
  const socket = net.connect(port)
  socket.on('error', () => undefined)
  socket.write(post([`Content-Length: ${SMUGGLED.length + 1}`], SMUGGLED))
  while (!seen()[0]?.includes('admin')) await new Promise((resolve) => setImmediate(resolve))
  socket.destroy()
  const { text } = await raw(port, 'GET /next HTTP/1.1\r\nHost: app.example\r\nConnection: close\r\n\r\n')
  assert.match(text, /^HTTP\/1\.1 200 /)
  assert.equal(readOne(seen()[1] ?? '').line, 'GET /next HTTP/1.1')
})
