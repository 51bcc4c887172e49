import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { connectNotify } from '../../../agent/service/notify.ts'
import {
  READY_MS,
  type ServiceState,
  STUCK_MS,
  superviseService,
} from '../../../agent/service/supervision.ts'
import { FakeEffects } from '../../support/fake-effects.ts'

const WATCHDOG_MS = 180_000

function supervised(begin: Partial<ServiceState> = {}) {
  const effects = new FakeEffects()
  const said: string[] = []
  const stop = new AbortController()
  const state = { isConnected: false, attempts: 0, text: 'trying', ...begin }
  superviseService({
    effects,
    watchdogMs: WATCHDOG_MS,
    notify: async (message) => void said.push(...message),
    look: () => state,
    signal: stop.signal,
  })
  /** What was said since the last look. */
  const heard = () => said.splice(0)
  return { effects, state, stop, heard }
}

describe('what the service manager hears', () => {
  it('READY comes with the first session', () => {
    const { effects, state, heard } = supervised()
    assert.deepEqual(heard(), ['STATUS=trying'])
    effects.advance(READY_MS / 2)
    assert.deepEqual(heard(), [])
    Object.assign(state, { isConnected: true, text: 'connected' })
    effects.advance(1_000)
    assert.deepEqual(heard(), ['READY=1', 'STATUS=connected'])
  })

  it('READY comes all the same after ten seconds of trying, and once only', () => {
    const { effects, heard } = supervised()
    heard()
    effects.advance(READY_MS + 1_000)
    assert.deepEqual(heard(), ['READY=1'])
    effects.advance(30_000)
    assert.deepEqual(heard(), [])
  })

  it('WATCHDOG comes three times in its time while the agent is connected, and again never', () => {
    const { effects, heard } = supervised({ isConnected: true })
    heard()
    effects.advance(WATCHDOG_MS)
    const words = heard()
    assert.ok(words.length >= 2 && words.length <= 3, words.join())
    assert.deepEqual([...new Set(words)], ['WATCHDOG=1'])
  })

  it('WATCHDOG stays out where the agent neither is connected nor tries, and comes back when it moves', () => {
    const { effects, state, heard } = supervised()
    effects.advance(STUCK_MS + WATCHDOG_MS)
    heard()
    effects.advance(WATCHDOG_MS)
    assert.deepEqual(heard(), [])
    state.attempts++
    effects.advance(10_000)
    assert.deepEqual(heard(), ['WATCHDOG=1'])
  })

  it('the status is one line that can move no cursor, and short', () => {
    const { heard } = supervised({ text: `a\nREADY=1\u001b[2J${'x'.repeat(500)}` })
    const [status = ''] = heard()
    assert.equal(/\p{Cc}/u.test(status), false)
    assert.ok(status.length < 220)
  })

  it('STOPPING ends it', () => {
    const { effects, stop, heard } = supervised()
    heard()
    stop.abort()
    assert.match(heard().join(), /^STOPPING=1,/)
    effects.advance(STUCK_MS)
    assert.deepEqual(heard(), [])
    assert.equal(effects.timerCount, 0)
  })
})

describe('the way to the service manager', () => {
  const environment = { NOTIFY_SOCKET: '/run/systemd/notify', WATCHDOG_USEC: '180000000' }

  it('is not there where no manager asked', () => {
    assert.equal(connectNotify({ environment: {}, onFailure: () => assert.fail() }), undefined)
  })

  it('keeps the order of the messages, and knows how often it is watched', async () => {
    const sent: string[] = []
    const first = Promise.withResolvers<void>()
    const manager = connectNotify({
      environment,
      onFailure: () => assert.fail(),
      send: async ([word = '']) => {
        if (word === 'READY=1') await first.promise
        sent.push(word)
      },
    })
    assert.equal(manager?.watchdogMs, WATCHDOG_MS)
    const both = Promise.all([manager?.notify(['READY=1']), manager?.notify(['STOPPING=1'])])
    first.resolve()
    await both
    assert.deepEqual(sent, ['READY=1', 'STOPPING=1'])
  })

  it('tells the first failure only', async () => {
    const failures: unknown[] = []
    const send = () => Promise.reject(new Error('no systemd-notify'))
    const manager = connectNotify({ environment, onFailure: (error) => failures.push(error), send })
    await manager?.notify(['READY=1'])
    await manager?.notify(['WATCHDOG=1'])
    assert.equal(failures.length, 1)
  })
})
