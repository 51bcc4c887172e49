import assert from 'node:assert/strict'
import net from 'node:net'
import { type TestContext, test } from 'node:test'
import { createArrive } from '../../../relay/gateway/arrival.ts'
import { cidr } from '../../support/cidr.ts'
import { eventually } from '../../support/deadline.ts'
import { FakeEffects } from '../../support/fake-effects.ts'
import { lineHeader } from '../../support/proxy-header.ts'
import { type LogRecord, recordLog } from '../../support/recorded-log.ts'
import { dial } from '../../support/tcp-kit.ts'

/** A listener to which everybody on this machine is a listed proxy. */
async function proxied(t: TestContext) {
  const effects = new FakeEffects()
  const recorded = recordLog()
  const arrivals: string[] = []
  const loopback = cidr('127.0.0.0/8')
  const arrive = createArrive({ proxies: [loopback], effects, log: recorded.log })
  let [accepted, closed] = [0, 0]
  const server = net.createServer({ pauseOnConnect: true }, (socket) => {
    accepted++
    socket.once('close', () => closed++)
    arrive(socket, (source, first) => {
      arrivals.push(`${source} ${Buffer.from(first)}`)
      socket.destroy()
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  t.after(() => server.close())
  const { port } = server.address() as net.AddressInfo
  const count = () => ({ accepted, closed })
  return { effects, recorded, arrivals, port, count }
}

test('a proxy that has not said all after 5 s is refused, and the log tells of it once a second', async (t) => {
  const { effects, recorded, arrivals, port, count } = await proxied(t)
  const [silent, half] = [await dial(port), await dial(port)]
  half.socket.write('PROXY TCP4 192.0.2.7')
  await eventually(() => count().accepted === 2, 'both came in')
  effects.advance(4_999)
  assert.equal(count().closed, 0)
  effects.advance(1)
  await Promise.all([silent.closed, half.closed])
  assert.deepEqual(arrivals, [])
  assert.equal(recorded.length, 0)
  effects.advance(1_000)
  const { proxy, reason, refused } = recorded.records[0] as LogRecord
  assert.deepEqual(
    { proxy, reason, refused },
    { proxy: '127.0.0.1', reason: 'no whole header in 5 s', refused: 2 },
  )
  assert.equal(recorded.length, 1)
})

test('what has arrived, or left before, has no deadline any more', async (t) => {
  const { effects, recorded, arrivals, port, count } = await proxied(t)
  const [ended, broken, arrived] = [await dial(port), await dial(port), await dial(port)]
  ended.socket.end()
  broken.socket.resetAndDestroy()
  arrived.socket.write(Buffer.concat([lineHeader('192.0.2.7'), Buffer.from('and TLS')]))
  await eventually(() => count().closed === 3, 'all are gone')
  assert.deepEqual(arrivals, ['192.0.2.7 and TLS'])
  assert.equal(effects.timerCount, 0)
  effects.advance(60_000)
  assert.equal(recorded.length, 0)
})
