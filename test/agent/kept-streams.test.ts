import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { KeptStreams } from '../../agent/kept-streams.ts'
import { TunnelError } from '../../shared/errors.ts'
import type { OpenMeta } from '../../shared/handshake/open.ts'
import type { Stream } from '../../shared/mux/stream.ts'
import { GRACE_MS } from '../../shared/tunnel/resumption.ts'
import { FakeEffects } from '../support/fake-effects.ts'
import { recordLog } from '../support/recorded-log.ts'
import { createPair } from '../support/session-pair.ts'
import type { StreamProbe } from '../support/stream-probe.ts'

const ALLOWED = () => true
const LOST = new TunnelError('SESSION_LOST', 'the cable')

function metaOf(secret: number, changes: Partial<OpenMeta> = {}): OpenMeta {
  return {
    resource: 'db',
    protocol: 'tcp',
    opener: 'connector:dev',
    secret: new Uint8Array(16).fill(secret),
    ...changes,
  }
}

function create() {
  const effects = new FakeEffects()
  const kept = new KeptStreams(effects, recordLog().log)
  const pair = createPair()
  const make = (meta: OpenMeta, mayResume = true): { stream: Stream; probe: StreamProbe } => {
    pair.peer.open()
    pair.run(10)
    const probe = pair.relay.peer(pair.relay.accepted.length - 1)
    const closed = probe.closed.bind(probe)
    probe.closed = (error) => {
      closed(error)
      kept.ended(probe.live, meta, { error, isReached: true })
    }
    kept.keep(probe.live, meta, mayResume)
    return { stream: probe.live, probe }
  }
  return { effects, kept, make }
}

/** Code and, where there is one, reason of the refusal. */
function refusalOf(kept: KeptStreams, meta: OpenMeta): string {
  try {
    kept.claim(meta, ALLOWED)
    return 'none'
  } catch (error) {
    const { code, cause } = error as TunnelError
    return cause === undefined ? code : `${code} ${cause}`
  }
}

describe('a stream that the agent keeps', () => {
  test('is given to whoever knows its secret, with and without a path', () => {
    const { kept, make } = create()
    const { stream } = make(metaOf(1))
    assert.equal(kept.claim(metaOf(1, { attempt: 1 }), ALLOWED), stream)
    stream.lose(LOST)
    assert.equal(kept.waitingCount, 1)
    assert.equal(kept.claim(metaOf(1, { attempt: 2 }), ALLOWED), stream)
  })

  test('waits for the grace time and no longer', () => {
    const { effects, kept, make } = create()
    const { stream, probe } = make(metaOf(1))
    stream.lose(LOST)
    effects.advance(GRACE_MS.default - 1)
    assert.equal(probe.closedWith, undefined)
    effects.advance(1)
    assert.equal(probe.code, 'SESSION_LOST')
    assert.equal(kept.waitingCount, 0)
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 1 })), 'SESSION_LOST')
  })

  test('has a grace of its own for each loss, and none while it has a path', () => {
    const { effects, kept, make } = create()
    const { stream, probe } = make(metaOf(1))
    for (let attempt = 1; attempt <= 3; attempt++) {
      stream.lose(LOST)
      effects.advance(GRACE_MS.default - 1)
      kept.claim(metaOf(1, { attempt }), ALLOWED)
      effects.advance(GRACE_MS.default * 2)
    }
    assert.equal(probe.closedWith, undefined)
    assert.equal(effects.timerCount, 0)
  })

  test('is refused to a replay: each number is taken once, in rising order', () => {
    const { kept, make } = create()
    make(metaOf(1))
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 5 })), 'none')
    for (const attempt of [5, 4, 0, undefined]) {
      assert.equal(refusalOf(kept, metaOf(1, { attempt })), 'DENIED_BY_SITE claimed-before')
    }
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 6 })), 'none')
  })

  test('is refused to another opener and for another resource', () => {
    const { kept, make } = create()
    const { stream } = make(metaOf(1))
    stream.lose(LOST)
    for (const changes of [{ opener: 'connector:eve' }, { opener: undefined }, { resource: 'web' }]) {
      assert.equal(refusalOf(kept, metaOf(1, { attempt: 9, ...changes })), 'DENIED_BY_SITE claim-of-another')
    }
    // Nothing has changed for the stream, not even the numbers.
    assert.equal(kept.claim(metaOf(1, { attempt: 1 }), ALLOWED), stream)
  })

  test('is refused where the rules no longer allow it', () => {
    const { kept, make } = create()
    const { stream } = make(metaOf(1))
    stream.lose(LOST)
    assert.throws(() => kept.claim(metaOf(1, { attempt: 1 }), (claimed) => claimed !== stream), {
      code: 'DENIED_BY_SITE',
      cause: 'rules-changed',
    })
  })

  test('ends with its path where its resource has `resume = false`, and is opened by no second OPEN', () => {
    const { kept, make, effects } = create()
    const { stream, probe } = make(metaOf(1), false)
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 1, fresh: true })), 'GONE')
    stream.lose(LOST)
    assert.equal(probe.code, 'SESSION_LOST')
    assert.equal(effects.timerCount, 0)
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 2, fresh: true })), 'SESSION_LOST')
  })
})

describe('a stream that the agent does not have', () => {
  test('is opened where it was never answered, and GONE else', () => {
    const { kept } = create()
    assert.equal(kept.claim(metaOf(1, { attempt: 1, fresh: true }), ALLOWED), undefined)
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 1 })), 'GONE')
    assert.equal(refusalOf(kept, metaOf(1, { attempt: 1, secret: undefined })), 'GONE')
  })

  test('is answered with how it ended, never by dialling again', () => {
    for (const [ending, answer] of [
      ['OK', 'OK'],
      ['TARGET_RESET', 'TARGET_RESET'],
      // Whoever is told to try again would open it a second time.
      ['DRAINING', 'GONE'],
    ] as const) {
      const { kept, make } = create()
      make(metaOf(1)).stream.reset(ending)
      for (const fresh of [false, true]) {
        assert.equal(refusalOf(kept, metaOf(1, { attempt: 1, fresh })), answer)
      }
    }
  })

  test('may be opened anew where its target was not reached', () => {
    const { kept, make } = create()
    const { stream } = make(metaOf(1))
    kept.ended(stream, metaOf(1), { error: new TunnelError('CONNECTION_REFUSED'), isReached: false })
    assert.equal(kept.claim(metaOf(1, { attempt: 1, fresh: true }), ALLOWED), undefined)
    assert.equal(kept.checkNew(metaOf(1)), undefined)
  })

  test('is forgotten behind 4,096 others that ended', () => {
    const { kept, make } = create()
    const { stream } = make(metaOf(0))
    stream.reset('OK')
    const other = (index: number) => {
      const secret = new Uint8Array(16)
      new DataView(secret.buffer).setUint32(0, index)
      return metaOf(0, { secret })
    }
    for (let index = 1; index < 4_096; index++) {
      kept.keep(stream, other(index), true)
      kept.ended(stream, other(index), { error: null, isReached: true })
    }
    assert.equal(refusalOf(kept, metaOf(0, { attempt: 1 })), 'OK')
    kept.keep(stream, other(4_096), true)
    kept.ended(stream, other(4_096), { error: null, isReached: true })
    assert.equal(refusalOf(kept, metaOf(0, { attempt: 1 })), 'GONE')
  })
})

describe('an OPEN that comes late', () => {
  test('is refused while its stream lives and when it is over; another stream keeps its secret', () => {
    const { kept, make } = create()
    const { stream } = make(metaOf(1))
    assert.throws(() => kept.checkNew(metaOf(1)), { code: 'PROTOCOL' })
    // What was refused had the same secret, and ends: that is not the end of the first.
    kept.ended(make(metaOf(2)).stream, metaOf(1), { error: null, isReached: true })
    assert.equal(kept.claim(metaOf(1, { attempt: 1 }), ALLOWED), stream)
    stream.reset('OK')
    assert.throws(() => kept.checkNew(metaOf(1)), { code: 'PROTOCOL' })
    assert.equal(kept.checkNew(metaOf(3)), undefined)
    assert.equal(kept.checkNew(metaOf(1, { secret: undefined })), undefined)
  })
})

describe('an agent that ends', () => {
  test('ends the streams without a path, and leaves the others to their sessions', () => {
    const { kept, make, effects } = create()
    const [waiting, living] = [make(metaOf(1)), make(metaOf(2))]
    waiting.stream.lose(LOST)
    kept.close(new TunnelError('DRAINING'))
    assert.deepEqual([waiting.probe.code, living.probe.closedWith], ['DRAINING', undefined])
    assert.equal(effects.timerCount, 0)
  })
})
