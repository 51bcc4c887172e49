import assert from 'node:assert/strict'
import { once } from 'node:events'
import net from 'node:net'
import { it } from 'node:test'
import { Connector } from '../../connector/index.ts'
import { type Effects, realEffects } from '../../shared/effects.ts'
import { startKit } from '../support/relay-kit.ts'

/** A port at which nobody listens. */
async function closedPort(): Promise<number> {
  const server = net.createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as net.AddressInfo
  server.close()
  return port
}

it('a connector that is asked in vain tries its relay again within 2 s, and else after longer and longer pauses', async () => {
  await using kit = await startKit()
  const address = { host: '127.0.0.1', port: await closedPort() }
  const credentials = { ...(await kit.credentials('dev', 'berlin/echo')), addresses: [address] }
  const effects: Effects = { ...realEffects, now: () => 0, random: () => 1, sleep: async () => undefined }
  const pauses: number[] = []
  const done = Promise.withResolvers<void>()
  const connector = new Connector({
    credentials,
    effects,
    onDown(_error, retryMs) {
      pauses.push(retryMs)
      if (pauses.length === 6) connector.connect('berlin/echo').on('error', () => undefined)
      if (pauses.length === 9) done.resolve()
    },
  })
  await done.promise
  await connector.close()
  assert.deepEqual(pauses.slice(0, 6), [500, 1_000, 2_000, 4_000, 8_000, 16_000])
  assert.deepEqual(pauses.slice(6, 9), [2_000, 2_000, 2_000])
})
