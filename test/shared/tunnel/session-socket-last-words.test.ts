import assert from 'node:assert/strict'
import { it } from 'node:test'
import { setImmediate } from 'node:timers/promises'
import { TunnelError } from '../../../shared/errors.ts'
import { FRAME } from '../../../shared/mux/frame.ts'
import { relayEnd } from './relay-end.ts'

it('a GOAWAY of the turn in which the session is closed still reaches the peer', async () => {
  const written: Buffer[] = []
  const { session, link } = relayEnd((bytes, done) => {
    written.push(bytes)
    done()
  })
  session.goAway('REPLACED', 0)
  link.close(new TunnelError('REPLACED'))
  await setImmediate()
  // One message with GOAWAY (16 bytes of payload), then CLOSE with 1000.
  assert.equal(
    Buffer.concat(written).toString('hex'),
    `8218${FRAME.GOAWAY.toString(16).padStart(2, '0')}00001000000000000000160000000000000000000000008802${'03e8'}`,
  )
})

it('a peer that sends WebSocket PINGs and reads no answers fills no memory', async () => {
  const { socket } = relayEnd(() => {})
  const ping = Buffer.concat([Buffer.from('89fd00000000', 'hex'), Buffer.alloc(125)])
  for (let index = 0; index < 10_000; index++) socket.push(ping)
  await setImmediate()
  assert.ok(socket.writableLength > 60_000, `only ${socket.writableLength} bytes`)
  assert.ok(socket.writableLength < 70_000, `${socket.writableLength} bytes`)
  socket.destroy()
})
