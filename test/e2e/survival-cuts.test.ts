import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { realEffects } from '../../shared/effects.ts'
import { eventually } from '../support/deadline.ts'
import { startKit } from '../support/relay-kit.ts'
import { startCuttingProxy, transfer, transferTarget } from './survival-kit.ts'

const MIB = 1024 * 1024

/** How often every link is cut, in ms. */
const CUT_MS = 300

describe('links that are cut every 300 ms', () => {
  it('carry 50 MiB each way at the same time, the same to the byte', async () => {
    await using kit = await startKit()
    await using target = await transferTarget()
    await using toAgent = await startCuttingProxy(kit.port)
    await using toConnector = await startCuttingProxy(kit.port)
    const agent = await kit.startAgent({
      address: { host: '127.0.0.1', port: toAgent.port },
      rules: { bulk: target.port },
    })
    const credentials = await kit.credentials('dev', 'berlin/bulk')
    const connector = await kit.connect({
      ...credentials,
      addresses: [{ host: '127.0.0.1', port: toConnector.port }],
    })
    const stop = new AbortController()
    const cutting = (async () => {
      for (let count = 0; !stop.signal.aborted; count++) {
        await realEffects.sleep(CUT_MS, stop.signal).catch(() => undefined)
        const proxy = count % 2 === 0 ? toAgent : toConnector
        proxy.cut()
      }
    })()
    const all = transfer(connector.connect('berlin/bulk'), 50 * MIB, 50 * MIB)
    await all.finally(() => stop.abort())
    await cutting
    assert.equal(target.accepted, 1)
    assert.ok(toAgent.accepted > 3, `${toAgent.accepted} links of the agent`)
    assert.ok(toConnector.accepted > 3, `${toConnector.accepted} links of the connector`)
    // The last cut may have come between the end and the word of it.
    await eventually(() => agent.agent.status().waiting === 0, 'the agent knows that the stream is over')
  })
})
