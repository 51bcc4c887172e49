import assert from 'node:assert/strict'
import { randomBytes } from 'node:crypto'
import type net from 'node:net'
import { describe, it } from 'node:test'
import { isTunnelError } from '../../shared/errors.ts'
import type { TunnelIdentity } from '../../shared/tunnel/dial-relay.ts'
import { eventually } from '../support/deadline.ts'
import { identityOf, openBareTunnel } from '../support/raw-session.ts'
import { dial, echoTarget } from '../support/tcp-kit.ts'
import { startWorld } from './world.ts'

/**
 * F14: node test/faults/renewals.ts [MINUTES] (10 by default)
 * Certificates that live two minutes, and one stream that is never still: each renewal has a new key, no byte is lost, and the
 * certificate before is refused once the next one was used.
 */

const MINUTES = Number(process.argv[2] ?? 10)
const PIECE_BYTES = 64 * 1024
const EVERY_MS = 100

/** How many pieces are sent between two looks at the agent. */
const LOOK_EVERY = 70

/** Two thirds of two minutes, give or take a tenth of them, with a minute to spare. */
const RENEWALS = Math.floor((MINUTES * 60 - 60) / 92)

/** Reads an echo and holds it against what was sent. */
function echoOf(socket: net.Socket) {
  const waiting: Buffer[] = []
  const seen = { bytes: 0, isRight: true }
  const take = (chunk: Buffer) => {
    const [piece] = waiting
    const length = Math.min(piece?.length ?? 0, chunk.length)
    if (piece === undefined || piece.compare(chunk, 0, length, 0, length) !== 0) {
      seen.isRight = false
      return
    }
    if (length === piece.length) waiting.shift()
    else waiting[0] = piece.subarray(length)
    if (length < chunk.length) take(chunk.subarray(length))
  }
  socket.removeAllListeners('data')
  socket.on('data', (chunk: Buffer) => {
    seen.bytes += chunk.length
    take(chunk)
  })
  return {
    seen,
    isDone: () => waiting.length === 0,
    send(piece: Buffer) {
      waiting.push(piece)
      socket.write(piece)
    },
  }
}

describe('F14: certificates of two minutes', () => {
  it(`F14: ${MINUTES} minutes of transfer: at least ${RENEWALS} renewals, each with a new key, and no byte lost`, async () => {
    await using target = await echoTarget()
    await using world = await startWorld({ relayFlags: ['--certificate-life', '2m'] })
    const agent = await world.startAgent({ targets: { echo: target.port } })
    const client = await dial(await world.publish('berlin/echo'))
    const echo = echoOf(client.socket)
    const keys = new Set<string>()
    const renewals = () => agent.part.log().filter(({ msg }) => msg === 'certificate renewed').length
    const refusals: string[] = []
    /** What the relay says to the certificate in `identity`. */
    const refusalOf = async (identity: TunnelIdentity) => {
      const address = { host: '127.0.0.1', port: world.port }
      const error = await openBareTunnel({ path: '/v1/agent', address, identity }).catch(
        (err: unknown) => err,
      )
      return isTunnelError(error) ? error.code : 'taken'
    }
    let identity = await identityOf(agent.data)
    let known = 0
    const until = performance.now() + MINUTES * 60_000
    for (let round = 0; performance.now() < until; round++) {
      echo.send(randomBytes(PIECE_BYTES))
      await new Promise((resolve) => setTimeout(resolve, EVERY_MS))
      assert.ok(echo.seen.isRight, `after ${echo.seen.bytes} bytes`)
      assert.equal(client.socket.destroyed, false)
      if (round % LOOK_EVERY !== 0) continue
      keys.add(String((await agent.status()).fingerprint))
      if (renewals() === known) continue
      known = renewals()
      // The new sessions stand by now, so the certificate before was used for the last time; it has not ended yet.
      refusals.push(await refusalOf(identity))
      identity = await identityOf(agent.data)
    }
    await eventually(echo.isDone, 'every byte is back')
    const mib = Math.round(echo.seen.bytes / 2 ** 20)
    process.stdout.write(`    ${known} renewals, ${keys.size} keys, ${mib} MiB echoed, before: ${refusals}\n`)
    assert.ok(known >= RENEWALS)
    assert.ok(keys.size > RENEWALS)
    assert.ok(refusals.every((code) => code !== 'taken'))
    client.socket.destroy()
  })
})
