import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import type { StreamHandler } from '../../../shared/mux/stream-handler.ts'
import { relayEnd } from './relay-end.ts'

const DEAF: StreamHandler = { opened() {}, data() {}, ended() {}, writable() {}, stopped() {}, closed() {} }

/** A session that has greeted, and what its socket is given from then on. */
async function greetedEnd() {
  const written: Buffer[] = []
  const end = relayEnd((bytes, done) => {
    written.push(bytes)
    done()
  })
  end.session.greet('HELLO_OK', Uint8Array.of(0xa0))
  await setImmediate()
  written.length = 0
  return { ...end, written }
}

describe('an OPEN', () => {
  it('leaves in one write with the bytes that come for its stream in the next turn', async () => {
    const { session, socket, written } = await greetedEnd()
    const stream = session.open(Uint8Array.of(0xa0), DEAF)
    await setImmediate()
    assert.equal(written.length, 0)
    stream.write(Buffer.from('hello'))
    await setImmediate()
    assert.equal(written.length, 1)
    assert.ok(written[0]?.includes('hello'))
    socket.destroy()
  })

  it('waits for one turn only where nothing comes', async () => {
    const { session, socket, written } = await greetedEnd()
    session.open(Uint8Array.of(0xa0), DEAF)
    await setImmediate()
    await setImmediate()
    assert.equal(written.length, 1)
    socket.destroy()
  })

  it('does not keep back what other streams have to say', async () => {
    const { session, socket, written } = await greetedEnd()
    const stream = session.open(Uint8Array.of(0xa0), DEAF)
    await setImmediate()
    await setImmediate()
    written.length = 0
    stream.write(Buffer.from('hello'))
    session.open(Uint8Array.of(0xa0), DEAF)
    await setImmediate()
    assert.equal(written.length, 1)
    assert.ok(written[0]?.includes('hello'))
    socket.destroy()
  })
})
