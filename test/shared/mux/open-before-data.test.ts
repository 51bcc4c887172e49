import assert from 'node:assert/strict'
import { it } from 'node:test'
import { writeDataHead } from '../../../shared/mux/encode.ts'
import { Session } from '../../../shared/mux/session.ts'
import type { StreamHandler } from '../../../shared/mux/stream-handler.ts'
import { createWindowBudget } from '../../../shared/mux/window.ts'

const META = new Uint8Array(100)
const GREETING = Uint8Array.of(0xa0)

const deaf: StreamHandler = {
  opened() {},
  data() {},
  ended() {},
  writable() {},
  stopped() {},
  closed() {},
}

function session(role: 'relay' | 'peer', opening: (made: Session) => void = () => {}): Session {
  const made: Session = new Session({
    role,
    budget: createWindowBudget(0),
    pingIntervalMs: 20_000,
    now: 0,
    handler: {
      greeted() {},
      opening(frame) {
        made.admit(frame, deaf)
        opening(made)
      },
      goAway() {},
      wake() {},
    },
  })
  return made
}

/** Lets `from` transmit until it has nothing more. */
function deliver(from: Session, to: Session): void {
  while (from.hasWork) {
    from.transmit(65_536, 0, {
      control: (bytes) => to.receive(bytes, 0),
      data(piece) {
        const head = new Uint8Array(16)
        writeDataHead(head, 0, { ...piece, length: piece.bytes.length })
        to.receive(head, 0)
        to.receive(piece.bytes.slice(), 0)
      },
    })
  }
}

it('data of a stream never passes its OPEN, however many OPENs leave in one turn', () => {
  let opened = 0
  const connector = session('peer')
  const relay = session('relay', () => opened++)
  connector.greet('HELLO', GREETING)
  deliver(connector, relay)
  relay.greet('HELLO_OK', GREETING)
  deliver(relay, connector)
  for (let index = 0; index < 250; index++) connector.open(META, deaf).write(new Uint8Array(10))
  deliver(connector, relay)
  assert.equal(opened, 250)
  assert.equal(relay.link.receivedData, 250 * 26)
})
