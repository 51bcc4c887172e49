import assert from 'node:assert/strict'
import { test } from 'node:test'
import { liveAudit } from '../../../relay/audit/live.ts'
import { admit } from '../../../relay/operations/run.ts'
import { actAt } from '../../support/acts.ts'
import { within } from '../../support/deadline.ts'
import { type RelayKit, startKit } from '../../support/relay-kit.ts'

async function listen(kit: RelayKit, params: object) {
  const stop = new AbortController()
  const asking = { relay: kit.relay, caller: { kind: 'operator' }, source: 'local', traceId: '' } as const
  const { context, input } = await admit(liveAudit, { ...asking, signal: stop.signal }, params)
  const parts = liveAudit.run(context, input)[Symbol.asyncIterator]()
  const next = async () => {
    const part = await within(parts.next(), 'a part of the stream')
    return part.done === true ? undefined : String(part.value)
  }
  return { next, stop: () => stop.abort() }
}

test('a listener that comes back gets what came in between, once each and in order', async () => {
  await using kit = await startKit()
  const { store } = kit.relay.authority
  const first = await listen(kit, { action: 'environment.add' })
  const begin = (await store.auditHead('default')).seq
  assert.equal(await first.next(), `retry: 2000\nid: ${begin}\n\n`)
  await store.addEnvironment('default', 'one', false, actAt())
  assert.match(
    (await first.next()) ?? '',
    new RegExp(`^id: ${begin + 1}\ndata: \\{.*"object":"one".*\\}\n\n$`),
  )
  first.stop()
  for (const name of ['two', 'three']) await store.addEnvironment('default', name, false, actAt())
  const second = await listen(kit, { after: begin + 1 })
  assert.equal(await second.next(), `retry: 2000\nid: ${begin + 1}\n\n`)
  const events = ((await second.next()) ?? '').split('\n\n').filter((event) => event !== '')
  assert.deepEqual(
    events.map((event) => /^id: (\d+)\n.*"object":"(\w+)"/.exec(event)?.slice(1)),
    [
      [`${begin + 2}`, 'two'],
      [`${begin + 3}`, 'three'],
    ],
  )
  second.stop()
})
