import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { Duplex } from 'node:stream'
import { test } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import type { Problem } from '../../../shared/http/problem.ts'
import { bodyOf, breakable, front, get, listen, once, raw, read, request } from './kit.ts'

test('a connection that fails before it was used gives a problem document', async (t) => {
  const failed = () => {
    const duplex = new Duplex({ read: () => undefined })
    duplex.destroy(new TunnelError('AGENT_OFFLINE', 'Site "north".'))
    return duplex
  }
  for (const connect of [
    failed,
    () => Promise.reject(new TunnelError('AGENT_OFFLINE', 'Site "north".')),
    () => {
      throw new TunnelError('AGENT_OFFLINE', 'Site "north".')
    },
  ]) {
    const failures: string[] = []
    const answer = await raw(
      await front(t, 0, { connect, onFailure: ({ code }) => failures.push(code) }),
      get('/'),
    )
    assert.match(answer.text, /^HTTP\/1\.1 503 /)
    assert.match(answer.text, /\r\nContent-Type: application\/problem\+json\r\n/)
    assert.match(answer.text, /\r\nCache-Control: no-store\r\n/)
    const problem = bodyOf<Problem>(answer)
    assert.deepEqual(problem, {
      type: 'urn:sallyport:problem:AGENT_OFFLINE',
      title: 'No agent of this site is connected.',
      status: 503,
      code: 'AGENT_OFFLINE',
      leg: 'relay-agent',
      detail: 'Site "north".',
      actor: 'site administrator',
      next: 'on the site: sallyport agent status',
      traceId: '0123456789abcdef0123456789abcdef',
    })
    assert.deepEqual(failures, ['AGENT_OFFLINE'])
  }
})

test('a target that refuses, hangs up or talks nonsense gives a problem document that says so', async (t) => {
  const closed = net.createServer()
  const closedPort = await listen(t, closed)
  await new Promise((resolve) => closed.close(resolve))
  const expectations: [number, RegExp][] = [
    [closedPort, /CONNECTION_REFUSED/],
    [await listen(t, saying('')), /TARGET_RESET.*ended before/],
    [await listen(t, saying('SSH-2.0-OpenSSH_9\r\n')), /TARGET_RESET.*not valid HTTP/],
    [await listen(t, saying(`HTTP/1.1 200 OK\r\n${'X: y\r\n'.repeat(201)}\r\n`)), /too many headers/],
    [await listen(t, saying(`HTTP/1.1 200 OK\r\nX: ${'y'.repeat(66_000)}\r\n\r\n`)), /too large/],
    [
      await listen(t, saying('HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab')),
      /not valid HTTP/,
    ],
    [
      await listen(
        t,
        saying('HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n'),
      ),
      /not valid HTTP/,
    ],
    [await listen(t, saying('HTTP/1.1 101 Hm\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n')), /TARGET_RESET/],
  ]
  for (const [origin, expected] of expectations) {
    const { text } = await raw(await front(t, origin), get('/'))
    assert.match(text, /^HTTP\/1\.1 502 /)
    assert.match(text, expected)
  }
})

test('the problem document of a HEAD request is its head alone', async (t) => {
  const { text } = await raw(await front(t, await listen(t, saying(''))), request('HEAD', '/', []))
  assert.match(text, /^HTTP\/1\.1 502 [\s\S]*Content-Length: [1-9][\s\S]*\r\n\r\n$/)
})

test('half an answer is never taken for a whole one', async (t) => {
  const length = 'Content-Length: 100\r\n\r\nhalf'
  const chunked = 'Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n'
  for (const version of ['1.1', '1.0']) {
    const head = `GET / HTTP/${version}\r\nHost: app.example\r\nConnection: close\r\n\r\n`
    for (const body of [length, chunked]) {
      const ended = await front(t, await listen(t, saying(`HTTP/1.1 200 OK\r\n${body}`)))
      assert.equal((await raw(ended, head)).end, 'RST', `${version} ${body}`)
    }
    for (const body of [length, chunked, 'Connection: close\r\n\r\nhalf']) {
      const { server, breakOff } = breakable(`HTTP/1.1 200 OK\r\n${body}`)
      const broken = await front(t, await listen(t, server))
      assert.equal((await raw(broken, head, breakOff)).end, 'RST', `${version} ${body}`)
    }
  }
})

test('a client that leaves takes the request to the target with it', async (t) => {
  for (const hasBegun of [true, false]) {
    const left = Promise.withResolvers<void>()
    const arrived = Promise.withResolvers<void>()
    const origin = await listen(
      t,
      http.createServer((_, response) => {
        response.on('close', left.resolve)
        if (hasBegun) response.write('x')
        arrived.resolve()
      }),
    )
    const client = http.get({ port: await front(t, origin) })
    client.on('error', () => undefined)
    if (hasBegun) await once(client, 'response')
    await arrived.promise
    client.destroy()
    await left.promise
  }
})

test('a dial is given up when the client leaves', async (t) => {
  const dialled = Promise.withResolvers<AbortSignal>()
  const port = await front(t, 0, {
    connect: (signal) => {
      dialled.resolve(signal)
      return new Promise(() => undefined)
    },
  })
  const client = http.get({ port })
  client.on('error', () => undefined)
  const signal = await dialled.promise
  const aborted = new Promise((resolve) => signal.addEventListener('abort', resolve))
  client.destroy()
  await aborted
  assert.equal((signal.reason as TunnelError).code, 'CANCELLED')
})

test('an early no reaches a client that is still sending, and the connection serves the next request', async (t) => {
  let requests = 0
  const origin = await listen(
    t,
    net.createServer((socket) => {
      const [status, text] = requests++ === 0 ? ['413 Too Large', 'too much'] : ['200 OK', 'next']
      socket.on('error', () => undefined).on('data', () => undefined)
      socket.once('data', () => {
        socket.write(`HTTP/1.1 ${status}\r\nContent-Length: ${text.length}\r\n\r\n${text}`)
      })
    }),
  )
  const port = await front(t, origin)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  const upload = http.request({ port, method: 'POST', agent, headers: { 'content-length': 2_000_000 } })
  upload.write(Buffer.alloc(1_000_000))
  const answer = await once<http.IncomingMessage>(upload, 'response')
  assert.equal(answer.statusCode, 413)
  upload.end(Buffer.alloc(1_000_000))
  assert.equal(await read(answer), 'too much')
  const next = http.get({ port, agent })
  assert.equal(await read(await once<http.IncomingMessage>(next, 'response')), 'next')
})

test('an answer that comes too early is never given to the next request', async (t) => {
  let connections = 0
  const origin = await listen(
    t,
    net.createServer((socket) => {
      connections++
      socket.on('error', () => undefined)
      const answer = (text: string) => `HTTP/1.1 200 OK\r\nContent-Length: ${text.length}\r\n\r\n${text}`
      socket.once('data', () => socket.write(answer(`own ${connections}`) + answer('stolen')))
    }),
  )
  const port = await front(t, origin)
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 })
  t.after(() => agent.destroy())
  for (const expected of ['own 1', 'own 2', 'own 3']) {
    const client = http.get({ port, agent })
    const answer = await once<http.IncomingMessage>(client, 'response')
    assert.equal(await read(answer), expected)
  }
  assert.equal(connections, 3)
})

function saying(text: string): net.Server {
  return net.createServer((socket) => {
    socket.on('error', () => undefined)
    socket.once('data', () => socket.end(text))
  })
}
