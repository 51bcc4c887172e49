import assert from 'node:assert/strict'
import { createHash, randomBytes } from 'node:crypto'
import http from 'node:http'
import https from 'node:https'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import { WebSocket, WebSocketServer } from 'ws'
import type { Problem } from '../../../shared/http/problem.ts'
import { listen, once, read } from '../../shared/http/kit.ts'
import { actAt } from '../../support/acts.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

interface Road {
  readonly kit: RelayKit
  /** What to ask for: a host published by a real relay, through a real agent, to `server`. */
  ask(options?: https.RequestOptions): http.ClientRequest
  readonly socketOptions: https.RequestOptions
}

async function road(t: TestContext, server: net.Server | undefined): Promise<Road> {
  const kit = await startKit()
  t.after(() => kit[Symbol.asyncDispose]())
  if (server !== undefined) {
    const target = await listen(t, server)
    const rule = `protocol = "http"\nhost = "127.0.0.1"\nport = ${target}\nallow_loopback = true`
    await kit.startAgent({ rules: { web: rule } })
  }
  const publication = {
    environment: 'production',
    site: 'berlin',
    resource: 'web',
    kind: 'host' as const,
    address: 'app.example',
  }
  await kit.relay.publications.publish('default', publication, actAt())
  const socketOptions = {
    port: kit.port,
    host: '127.0.0.1',
    servername: 'app.example',
    ca: kit.relay.authority.authority.certificate.toString(),
    headers: { host: 'app.example' },
    agent: false as const,
  }
  return {
    kit,
    socketOptions,
    ask: (options = {}) => https.request({ ...socketOptions, ...options }),
  }
}

function hashOf(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

test('bodies of any size come through the tunnel whole, both ways, framed by length or by chunks', async (t) => {
  const { ask } = await road(
    t,
    http.createServer(async (request, response) => {
      const body = Buffer.concat(await request.toArray())
      if (request.url === '/length') response.setHeader('Content-Length', body.length)
      response.end(body)
    }),
  )
  for (const path of ['/length', '/chunks']) {
    for (const size of [0, 1, 20_000, 3_000_000]) {
      const body = randomBytes(size)
      const client = ask({ path, method: 'POST' })
      const answered = once<http.IncomingMessage>(client, 'response')
      client.end(body)
      const answer = await answered
      assert.equal(answer.statusCode, 200)
      assert.equal(hashOf(Buffer.concat(await answer.toArray())), hashOf(body), `${path} ${size}`)
    }
  }
})

test('a site without an agent is told as that', async (t) => {
  const { ask } = await road(t, undefined)
  const client = ask()
  client.end()
  const answer = await once<http.IncomingMessage>(client, 'response')
  const problem = JSON.parse(await read(answer)) as Problem
  assert.equal(answer.statusCode, 503)
  assert.equal(problem.code, 'AGENT_OFFLINE')
})

test('a target that is down is told with the leg on which it failed', async (t) => {
  const closed = net.createServer()
  const { ask } = await road(t, closed)
  await new Promise((resolve) => closed.close(resolve))
  const client = ask()
  client.end()
  const answer = await once<http.IncomingMessage>(client, 'response')
  const problem = JSON.parse(await read(answer)) as Problem
  assert.equal(problem.code, 'CONNECTION_REFUSED')
  assert.equal(problem.leg, 'agent-target')
})

test('an event stream, an early hint and a break come through the tunnel as they are', async (t) => {
  let stream: http.ServerResponse | undefined
  const { ask } = await road(
    t,
    http.createServer((_, response) => {
      stream = response
      response.writeEarlyHints({ link: '</a>; rel=preload' })
      response.writeHead(200, { 'content-type': 'text/event-stream' }).flushHeaders()
    }),
  )
  const client = ask()
  const hinted = once<{ statusCode: number }>(client, 'information')
  const answered = once<http.IncomingMessage>(client, 'response')
  client.end()
  assert.equal((await hinted).statusCode, 103)
  const answer = await answered
  const first = once<Buffer>(answer, 'data')
  stream?.write('data: 1\n\n')
  assert.equal(String(await first), 'data: 1\n\n')
  const broken = once<Error>(answer, 'error')
  stream?.destroy()
  await broken
  assert.equal(answer.complete, false)
})

test('a client that leaves is gone at the target too', async (t) => {
  const arrived = Promise.withResolvers<void>()
  const left = Promise.withResolvers<void>()
  const { ask } = await road(
    t,
    http.createServer((_, response) => {
      response.on('close', left.resolve)
      arrived.resolve()
    }),
  )
  const client = ask()
  client.on('error', () => undefined)
  client.end()
  await arrived.promise
  client.destroy()
  await left.promise
})

test('a WebSocket talks through the tunnel', async (t) => {
  const server = http.createServer()
  const sockets = new WebSocketServer({ server })
  sockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)))
  const { socketOptions, kit } = await road(t, server)
  const { headers, servername, ca } = socketOptions
  const client = new WebSocket(`wss://127.0.0.1:${kit.port}/`, {
    ...{ headers: headers as Record<string, string>, ca },
    ...(servername === undefined ? {} : { servername }),
  })
  await once(client, 'open')
  const echoed = once<Buffer>(client, 'message')
  client.send(Buffer.alloc(500_000, 'x'))
  assert.equal((await echoed).length, 500_000)
  const closed = once<number>(client, 'close')
  client.close(4_002)
  assert.equal(await closed, 4_002)
})
