import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { TunnelError } from '../../../shared/errors.ts'
import type { Stream } from '../../../shared/mux/stream.ts'
import { TunnelDuplex } from '../../../shared/tunnel/duplex.ts'

/** A Duplex on a stream that only notes how it is treated. */
function recorded(): { duplex: TunnelDuplex; calls: string[] } {
  const calls: string[] = []
  const note = (name: string) => (argument?: unknown) => calls.push([name, argument ?? ''].join(' ').trim())
  const stream = {
    room: 1,
    isWriting: true,
    write: (bytes: Uint8Array) => note('write')(Buffer.from(bytes).toString()),
    end: note('end'),
    stop: note('stop'),
    reset: note('reset'),
    consume: () => undefined,
  }
  const duplex = new TunnelDuplex()
  duplex.on('error', () => undefined)
  duplex.stream = stream as unknown as Stream
  return { duplex, calls }
}

/** Resolves at `event`, also where an error comes before it. */
function seen(duplex: TunnelDuplex, event: 'close' | 'finish'): Promise<void> {
  return new Promise((resolve) => {
    duplex.once(event, resolve)
  })
}

async function destroyed(duplex: TunnelDuplex, destroy: () => void): Promise<void> {
  const closed = seen(duplex, 'close')
  destroy()
  await closed
}

describe('a Duplex that is closed', () => {
  it('behind its last byte lets that byte arrive, and says that it reads no more', async () => {
    const { duplex, calls } = recorded()
    duplex.write('answer')
    await destroyed(duplex, () => duplex.destroySoon())
    assert.deepEqual(calls, ['write answer', 'end', 'stop CANCELLED'])
  })

  it('before it has ended resets the stream, so that half an answer is no answer', async () => {
    const { duplex, calls } = recorded()
    duplex.write('ans')
    await destroyed(duplex, () => duplex.destroy())
    assert.deepEqual(calls, ['write ans', 'reset CANCELLED'])
  })

  it('by a failure resets the stream with its code', async () => {
    const { duplex, calls } = recorded()
    duplex.end()
    await seen(duplex, 'finish')
    await destroyed(duplex, () => duplex.destroy(new TunnelError('TARGET_RESET')))
    assert.deepEqual(calls, ['end', 'reset TARGET_RESET'])
  })

  it('after both directions have ended has nothing more to say', async () => {
    const { duplex, calls } = recorded()
    const closed = seen(duplex, 'close')
    duplex.resume()
    duplex.handler.ended()
    duplex.end()
    await closed
    assert.deepEqual(calls, ['end'])
  })
})
