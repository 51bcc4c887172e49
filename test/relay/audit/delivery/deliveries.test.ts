import assert from 'node:assert/strict'
import { test } from 'node:test'
import { webhookSignature } from '../../../../relay/audit/delivery/webhook.ts'
import { Secret } from '../../../../shared/secret.ts'
import { eventually } from '../../../support/deadline.ts'
import { SIGNING_KEY, syslogReceiver, testDeliveries, webhookReceiver } from './delivery-fixture.ts'

interface Body {
  readonly tenant: string
  readonly records: readonly { readonly seq: number; readonly object: string }[]
}

/** Numbers 1 to `count`. */
function upTo(count: number): readonly number[] {
  return Array.from({ length: count }, (_, i) => i + 1)
}

test('a webhook gets every record in order, signed, though its receiver fails, redirects, hangs and cuts', async (t) => {
  const kit = await testDeliveries(t)
  const seen: number[] = []
  const faults = ['500', '302', 'cut', 'hang', 'ok', 'cut after', 'ok']
  let call = 0
  const target = await webhookReceiver(t, (request, body, response) => {
    const fault = faults[call++] ?? 'ok'
    if (fault === '500') return void response.writeHead(500).end()
    if (fault === '302') return void response.writeHead(302, { location: '/elsewhere' }).end()
    if (fault === 'cut') return void request.socket.destroy()
    if (fault === 'hang') return
    const signature = String(request.headers['sallyport-signature'])
    const time = Number(/^t=(\d+),/.exec(signature)?.[1]) * 1_000
    assert.equal(signature, webhookSignature(new Secret(SIGNING_KEY), time, body))
    assert.equal(request.url, '/hook')
    const { tenant, records } = JSON.parse(body) as Body
    assert.equal(tenant, 'default')
    seen.push(...records.map(({ seq }) => seq))
    if (fault === 'cut after') request.socket.destroy()
    else response.writeHead(204).end()
  })
  await kit.add({ kind: 'webhook', target })
  kit.deliveries.begin('default', 'siem')
  await eventually(
    () => kit.deliveries.health('default', 'siem').failingSince !== undefined,
    'a failure is shown',
  )
  await eventually(() => seen.length === 2, 'the records of adding it')
  await kit.write('a/1', 'a/2')
  // The answer to these was lost once: they come twice, and their numbers say so.
  await eventually(() => seen.length === 6, 'the records')
  assert.deepEqual(seen, [1, 2, 3, 4, 3, 4])
  await eventually(
    async () => (await kit.store.findDelivery('default', 'siem'))?.position === 4,
    'the position',
  )
  await eventually(() => kit.deliveries.health('default', 'siem').error === undefined, 'health')
})

test('a relay that starts again goes on where it was', async (t) => {
  const kit = await testDeliveries(t)
  const seen: number[] = []
  let isDown = false
  const target = await webhookReceiver(t, (_request, body, response) => {
    if (isDown) return void response.writeHead(503).end()
    seen.push(...(JSON.parse(body) as Body).records.map(({ seq }) => seq))
    response.writeHead(200).end('taken')
  })
  await kit.add({ kind: 'webhook', target })
  kit.deliveries.begin('default', 'siem')
  await eventually(() => seen.length === 2, 'the first records')
  isDown = true
  await kit.write(...upTo(450).map((n) => `a/${n}`))
  await eventually(() => kit.deliveries.health('default', 'siem').error !== undefined, 'a failure')
  await kit.deliveries.stop()
  isDown = false
  await kit.another().start()
  await eventually(() => seen.length >= 452, 'the rest')
  assert.deepEqual(seen, upTo(452))
})

test('syslog is delivered when the receiver has read to the end, not when it was written', async (t) => {
  const kit = await testDeliveries(t)
  const taken: string[] = []
  let call = 0
  const target = await syslogReceiver(t, (socket) => {
    const fault = ['cut', 'end', 'ok'][call++]
    let text = ''
    if (fault === 'cut') return void socket.destroy()
    if (fault === 'end') return void socket.end()
    socket.on('data', (chunk: Buffer) => {
      text += chunk.toString()
    })
    socket.on('end', () => {
      taken.push(text)
      socket.end()
    })
  })
  await kit.write('a/1', 'a/2')
  await kit.add({ kind: 'syslog', target })
  kit.deliveries.begin('default', 'siem')
  await eventually(() => taken.length === 1, 'the records')
  const messages = readFrames(taken[0] ?? '')
  assert.equal(messages.length, 4)
  assert.match(
    messages[0] ?? '',
    /^<110>1 1970-01-01T00:00:00.000Z relay sallyport - stream.close \[sallyport@32473 tenant="default" seq="1" .*hash="[0-9a-f]{64}"\] \ufeffstream.close a\/1 OK$/,
  )
  await eventually(
    async () => (await kit.store.findDelivery('default', 'siem'))?.position === 4,
    'the position',
  )
})

test('a receiver whose certificate comes from elsewhere gets nothing', async (t) => {
  const kit = await testDeliveries(t)
  let calls = 0
  const target = await webhookReceiver(t, (_request, _body, response) => {
    calls++
    response.end()
  })
  const stranger = { name: 'other', kind: 'webhook', target, ca: undefined } as const
  await kit.add({ kind: 'webhook', target })
  await kit.store.putSecret('default', 'delivery/other', SIGNING_KEY, {
    ...{ actor: { kind: 'operator', id: '' }, source: 'local', traceId: '', at: 0 },
  })
  await assert.rejects(kit.deliveries.send('default', stranger, [], AbortSignal.timeout(5_000)), {
    code: 'DELIVERY',
  })
  assert.equal(calls, 0)
})

test('S39: records are never sent to addresses inside, by number or by name', async (t) => {
  const kit = await testDeliveries(t, [])
  let calls = 0
  const hook = await webhookReceiver(t, (_request, _body, response) => {
    calls++
    response.end()
  })
  const { port } = new URL(hook)
  const hosts = [
    ...['127.0.0.1', 'localhost', '[::1]', '2130706433', '0x7f.1', '[::ffff:127.0.0.1]', '0.0.0.0'],
    ...['169.254.169.254', '10.0.0.1', '[fd00:ec2::254]', '[64:ff9b::7f00:1]'],
  ]
  for (const host of hosts) {
    const delivery = {
      name: 'siem',
      kind: 'webhook',
      target: `https://${host}:${port}/`,
      ca: undefined,
    } as const
    await assert.rejects(
      kit.deliveries.send('default', delivery, [], AbortSignal.timeout(5_000)),
      { code: 'DELIVERY', message: /not on the internet/ },
      host,
    )
  }
  const syslog = { name: 'siem', kind: 'syslog', target: `localhost:${port}`, ca: undefined } as const
  await assert.rejects(kit.deliveries.send('default', syslog, [], AbortSignal.timeout(5_000)), {
    message: /not on the internet/,
  })
  assert.equal(calls, 0)
})

/** The messages of RFC 5425 frames. */
function readFrames(text: string): readonly string[] {
  const bytes = Buffer.from(text)
  const messages: string[] = []
  for (let at = 0; at < bytes.length; ) {
    const space = bytes.indexOf(' ', at)
    const length = Number(bytes.toString('latin1', at, space))
    messages.push(bytes.toString('utf8', space + 1, space + 1 + length))
    at = space + 1 + length
  }
  return messages
}
