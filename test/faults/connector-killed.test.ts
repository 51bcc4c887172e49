import assert from 'node:assert/strict'
import type net from 'node:net'
import { after, before, describe, it } from 'node:test'
import { eventually } from '../support/deadline.ts'
import { dial, listenTarget, type TcpTarget } from '../support/tcp-kit.ts'
import { startWorld, type World } from './world.ts'

/**
 * F06: SIGKILL for a connector with 100 open streams. Those of `resume = false` are gone at once; the others wait for it as
 * long as their grace lasts (test/e2e/survival-links.test.ts), since a connector that died cannot be told from one whose
 * network is gone.
 */

const STREAMS = 100
const GONE_MS = 2_000

describe('F06: a connector that is killed with 100 open streams', () => {
  let world: World
  let target: TcpTarget
  const open = new Set<net.Socket>()

  before(async () => {
    target = await listenTarget((socket) => {
      open.add(socket)
      socket.once('close', () => open.delete(socket))
      socket.pipe(socket)
    })
    world = await startWorld()
  })

  after(async () => {
    await world[Symbol.asyncDispose]()
    await target.close()
  })

  it('F06: leaves no connection to the service and no stream at the agent after 2 s', async () => {
    const agent = await world.startAgent({ targets: { echo: target.port }, mortal: ['echo'] })
    const { part, port } = await world.connect('berlin/echo', await world.credentials('dev', 'berlin/echo'))
    const clients = await Promise.all(Array.from({ length: STREAMS }, () => dial(port)))
    for (const { socket } of clients) socket.write('x')
    await Promise.all(clients.map((client) => client.has(1)))
    assert.equal(open.size, STREAMS)
    assert.equal((await agent.status()).streams, STREAMS)
    await part.end('SIGKILL')
    const began = performance.now()
    await eventually(() => open.size === 0, 'no connection to the service', GONE_MS)
    assert.ok(performance.now() - began < GONE_MS)
    assert.equal((await agent.status()).streams, 0)
    for (const { socket } of clients) socket.destroy()
  })
})
