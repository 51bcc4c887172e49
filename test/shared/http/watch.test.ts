import assert from 'node:assert/strict'
import http from 'node:http'
import net from 'node:net'
import { test } from 'node:test'
import type { TunnelError } from '../../../shared/errors.ts'
import { bodyOf, front, get, listen, once, raw, request } from './kit.ts'

/** Timers that run when the test says so. */
function handTimers() {
  const pending = new Set<() => void>()
  return {
    after: (_: number, callback: () => void) => {
      pending.add(callback)
      return () => pending.delete(callback)
    },
    /** Lets every timer that is set now run out. */
    expire() {
      for (const callback of [...pending]) {
        pending.delete(callback)
        callback()
      }
    },
    pending,
  }
}

test('a target that takes the request and never answers is given up', async (t) => {
  const asked = Promise.withResolvers<void>()
  const origin = await listen(
    t,
    net.createServer((socket) => socket.on('error', () => undefined).on('data', () => asked.resolve())),
  )
  const effects = handTimers()
  const answer = raw(await front(t, origin, { effects }), get('/'))
  await asked.promise
  effects.expire()
  effects.expire()
  assert.equal(bodyOf<{ code: string }>(await answer).code, 'HTTP_ANSWER_TIMEOUT')
})

test('a body that stands still is given up, one that moves is not', async (t) => {
  const chunks = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  let heard = 0
  const origin = await listen(
    t,
    http.createServer((incoming) => incoming.on('data', () => chunks[heard++]?.resolve())),
  )
  const effects = handTimers()
  const client = http.request({ port: await front(t, origin, { effects }), method: 'POST' })
  client.write('a')
  await chunks[0]?.promise
  effects.expire()
  client.write('b')
  await chunks[1]?.promise
  effects.expire()
  assert.equal(client.destroyed, false)
  const answered = once<http.IncomingMessage>(client, 'response')
  effects.expire()
  assert.equal((await answered).statusCode, 408)
  client.destroy()
})

test('an event stream may be silent for any time, and a finished exchange leaves no timer', async (t) => {
  let stream: http.ServerResponse | undefined
  const origin = await listen(
    t,
    http.createServer((_, response) => {
      stream = response
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    }),
  )
  const effects = handTimers()
  const answered = raw(await front(t, origin, { effects }), request('GET', '/', []))
  while (stream === undefined) await new Promise((resolve) => setImmediate(resolve))
  for (let i = 0; i < 20; i++) {
    effects.expire()
    await new Promise((resolve) => setImmediate(resolve))
  }
  stream.end('data: late\n\n')
  assert.match((await answered).text, /data: late/)
  while (effects.pending.size > 0) await new Promise((resolve) => setImmediate(resolve))
})

test('a client that does not take its answer is given up', async (t) => {
  const origin = await listen(
    t,
    http.createServer((_, response) => response.end(Buffer.alloc(50 * 2 ** 20))),
  )
  const effects = handTimers()
  let code: string | undefined
  const onFailure = (error: TunnelError) => {
    code = error.code
  }
  const port = await front(t, origin, { effects, onFailure })
  const socket = net.connect(port).on('error', () => undefined)
  socket.write(get('/'))
  await once(socket, 'readable')
  while (code === undefined) {
    effects.expire()
    await new Promise((resolve) => setImmediate(resolve))
  }
  assert.equal(code, 'HTTP_REQUEST_TIMEOUT')
  socket.destroy()
})
