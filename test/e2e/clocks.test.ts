import assert from 'node:assert/strict'
import { test } from 'node:test'
import { realEffects } from '../../shared/effects.ts'
import { Secret } from '../../shared/secret.ts'
import { dialRelay } from '../../shared/tunnel/dial-relay.ts'
import { startKit } from '../support/relay-kit.ts'

const DAY_MS = 86_400_000

test('a relay whose clock is far away is told apart from one that is not ours, and both clocks are named', async () => {
  // TLS itself looks at the system's clock, so it is the relay's that is wrong here.
  const behind = realEffects.date() - 400 * DAY_MS
  await using kit = await startKit({ effects: { ...realEffects, date: () => behind } })
  const ca = kit.relay.authority.authority.certificate.toString()
  const identity = { serverName: '127.0.0.1', ca, certificate: '', key: new Secret('') }
  const dialled = dialRelay(kit.relay.address, '/v1/agent', identity, AbortSignal.timeout(10_000))
  await assert.rejects(dialled, ({ code, message }: Error & { code: string }) => {
    assert.equal(code, 'CLOCK')
    assert.match(message, new RegExp(`clock here says ${new Date().getUTCFullYear()}-`))
    assert.match(message, new RegExp(` to ${new Date(behind + 90 * DAY_MS).toISOString().slice(0, 10)}T`))
    return true
  })
})
