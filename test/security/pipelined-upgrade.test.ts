import assert from 'node:assert/strict'
import http from 'node:http'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import tls from 'node:tls'
import { within } from '../support/deadline.ts'
import { type RelayKit, startKit } from '../support/relay-kit.ts'
import { dial, type TcpEnd, tcpEnd } from '../support/tcp-kit.ts'

/**
 * An upgrade that is sent behind a request before that was answered. It once ended the process: the relay's by anybody who
 * knew a published host, the agent's by a connector with a grant for an HTTP resource.
 */

const HOST = 'web.example.org'
const FIRST = `GET /first HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`
const UPGRADE = [
  `GET /second HTTP/1.1\r\nHost: ${HOST}\r\nConnection: upgrade\r\nUpgrade: websocket\r\n`,
  'Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n',
].join('')
/** node's parser stops at the second request, so this one is not answered: the client learns it by the end. */
const LAST = `GET /last HTTP/1.1\r\nHost: ${HOST}\r\n\r\n`

describe('an upgrade behind a request that is not answered yet', () => {
  let kit: RelayKit
  let origin: http.Server
  /** The first request has come; what answers it. */
  let asked = Promise.withResolvers<() => void>()

  before(async () => {
    kit = await startKit()
    origin = http.createServer((request, response) => {
      const answer = () => response.end(`${request.url} ${request.headers.upgrade ?? 'no upgrade'};`)
      if (request.url === '/first') asked.resolve(answer)
      else answer()
    })
    await new Promise<void>((resolve) => origin.listen(0, '127.0.0.1', resolve))
    const { port } = origin.address() as net.AddressInfo
    const rule = `protocol = "http"\nhost = "127.0.0.1"\nport = ${port}\nallow_loopback = true`
    await kit.startAgent({ rules: { web: rule } })
    await kit.command('publication.add', { resource: 'berlin/web', kind: 'host', address: HOST })
  })

  after(async () => {
    await kit[Symbol.asyncDispose]()
    origin.close()
  })

  const atRelay = async (): Promise<TcpEnd> => {
    const ca = kit.relay.authority.authority.certificate.toString()
    const socket = tls.connect({ port: kit.port, host: '127.0.0.1', servername: HOST, ca })
    const end = tcpEnd(socket)
    await within(new Promise((resolve) => socket.once('secureConnect', resolve)), 'TLS')
    return end
  }
  const atAgent = async (): Promise<TcpEnd> => {
    const connector = await kit.connect(await kit.credentials('dev', 'berlin/web'))
    return dial((await kit.forward(connector, 'berlin/web')).port)
  }

  for (const [where, open] of Object.entries({ 'the relay': atRelay, 'the agent': atAgent })) {
    it(`is a plain request for ${where}, answered behind the first one, and the connection ends`, async () => {
      asked = Promise.withResolvers()
      const client = await open()
      client.socket.write(FIRST + UPGRADE + LAST)
      const answer = await within(asked.promise, 'the first request')
      answer()
      await client.finished
      client.socket.end()
      const { bytes, end } = await client.closed
      const bodies = bytes.toString().match(/\/(?:first|second|last) [a-z ]+;/g)
      assert.deepEqual(bodies, ['/first no upgrade;', '/second no upgrade;'])
      assert.equal(end, 'FIN')
    })
  }
})
