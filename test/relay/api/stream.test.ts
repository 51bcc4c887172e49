import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import https from 'node:https'
import { after, before, describe, it } from 'node:test'
import { realEffects } from '../../../shared/effects.ts'
import { relayTlsOptions } from '../../../shared/identity/relay-tls.ts'
import { type ApiKit, startApiKit } from '../../support/api-kit.ts'
import { within } from '../../support/deadline.ts'

/** Who may still listen is asked again after this long, in ms; here sooner. */
const CHECK_MS = 4_000

const effects = {
  ...realEffects,
  after: (ms: number, callback: () => void) => realEffects.after(ms === CHECK_MS ? 20 : ms, callback),
}

let api: ApiKit

before(async () => {
  api = await startApiKit({ effects, apiLimits: { streamsPerCaller: 2 } })
})

after(() => api[Symbol.asyncDispose]())

/** Begins to listen. @returns the answer with its head, and when it ended */
async function listen(token: string): Promise<{ response: IncomingMessage; ended: Promise<void> }> {
  const ca = api.kit.relay.authority.authority.certificate.toString()
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>()
  const request = https.get({
    ...relayTlsOptions({ serverName: '127.0.0.1', ca }),
    host: '127.0.0.1',
    port: api.kit.port,
    path: '/api/v1/tenants/default/audit/live',
    headers: { authorization: `Bearer ${token}` },
    agent: false,
  })
  request.on('response', resolve).on('error', reject)
  const response = await within(promise, 'the head of the stream')
  const ended = new Promise<void>((done) => response.once('close', () => done()).resume())
  response.on('error', () => undefined)
  return { response, ended }
}

describe('a stream', () => {
  it('ends once its listener may hear no more, and not before', async () => {
    const token = api.callers.withRole('auditor')
    const { response, ended } = await listen(token)
    assert.deepEqual([response.statusCode, response.headers['content-type']], [200, 'text/event-stream'])
    // The next two answers come over connections that began after several checks.
    for (let at = 0; at < 2; at++) await api.ask('GET', '/tenants/default/audit', { token })
    assert.equal(response.destroyed, false)
    api.callers.add(token, [{ tenantId: 'default', role: 'developer' }])
    await within(ended, 'the end of the stream')
  })

  it('is one of a few for each caller, and gives its place back', async () => {
    const token = api.callers.withRole('owner')
    const open = [await listen(token), await listen(token)]
    const third = await listen(token)
    assert.equal(third.response.statusCode, 503)
    api.callers.remove(token)
    await within(Promise.all(open.map(({ ended }) => ended)), 'the end of the streams')
    api.callers.withRole('owner')
    const again = await listen(token)
    assert.equal(again.response.statusCode, 200)
    again.response.destroy()
  })
})
