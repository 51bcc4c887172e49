import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { duplexPair } from 'node:stream'
import { test } from 'node:test'
import { TunnelHttpAgent, tunnelConnector } from '../../connector/http-agent.ts'
import { TunnelError } from '../../shared/errors.ts'
import { listen, once, read } from '../shared/http/kit.ts'

test('requests go through the tunnel wherever their URL points, and streams are used again', async (t) => {
  const seen: string[] = []
  const origin = await listen(
    t,
    http.createServer((request, response) => {
      seen.push(`${request.headers.host}${request.url}`)
      response.end('ok')
    }),
  )
  let streams = 0
  const agent = new TunnelHttpAgent(() => {
    streams++
    return net.connect(origin, '127.0.0.1')
  })
  t.after(() => agent.destroy())
  for (let i = 0; i < 3; i++) {
    const answer = await once<http.IncomingMessage>(http.get('http://crm.invalid/a', { agent }), 'response')
    assert.equal(await read(answer), 'ok')
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.deepEqual(seen, ['crm.invalid/a', 'crm.invalid/a', 'crm.invalid/a'])
  assert.equal(streams, 1)
})

test('a plain Duplex without the methods of a socket serves too', async (t) => {
  const server = http.createServer((_, response) => response.end('ok'))
  const agent = new TunnelHttpAgent(() => {
    const [near, far] = duplexPair()
    server.emit('connection', far)
    t.after(() => far.destroy())
    return near
  })
  t.after(() => agent.destroy())
  for (let i = 0; i < 2; i++) {
    const answer = await once<http.IncomingMessage>(http.get('http://crm/', { agent }), 'response')
    assert.equal(await read(answer), 'ok')
    await new Promise((resolve) => setImmediate(resolve))
  }
})

test('a stream that fails fails the request with the error of the tunnel', async () => {
  const agent = new TunnelHttpAgent(() => {
    const [near] = duplexPair()
    near.destroy(new TunnelError('AGENT_OFFLINE'))
    return near
  })
  const error = await once<TunnelError>(http.get('http://crm/', { agent }), 'error')
  assert.equal(error.code, 'AGENT_OFFLINE')
})

test('undici gets the stream when the target was dialled, or the error', async () => {
  const [near] = duplexPair()
  const given = new Promise((resolve) =>
    tunnelConnector(() => near)({}, (error, stream) => resolve(error ?? stream)),
  )
  near.emit('connect')
  assert.equal(await given, near)
  const [broken] = duplexPair()
  const failed = new Promise((resolve) => tunnelConnector(() => broken)({}, (error) => resolve(error)))
  const error = new TunnelError('DENIED_BY_RELAY')
  broken.destroy(error)
  assert.equal(await failed, error)
})
