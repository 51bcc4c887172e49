import { TunnelError } from '../errors.ts'

/**
 * The life of a stream as three small tables (docs/protocol.md section 4.2). What is not listed cannot happen; nothing
 * else in the project decides what a stream may do next.
 */
export type OpeningState = 'opening' | 'open' | 'closed'
export type OpeningEvent = 'accept' | 'close'
export type SendState = 'sending' | 'ended' | 'done'
export type SendEvent = 'end' | 'acknowledge'
export type ReceiveState = 'receiving' | 'discarding' | 'ended' | 'done'
export type ReceiveEvent = 'stop' | 'end' | 'deliver'

/** Every legal move: what is not listed breaks the protocol. */
export type MoveTable<State extends string, Event extends string> = Readonly<
  Record<State, Readonly<Partial<Record<Event, State>>>>
>

/** An opener waits for OPEN_OK, an acceptor for its own answer. */
export const OPENING_MOVES: MoveTable<OpeningState, OpeningEvent> = {
  opening: { accept: 'open', close: 'closed' },
  open: { close: 'closed' },
  closed: {},
}

/** `end`: the application ended, or a STOP cut it short. `acknowledge`: the far end has consumed all of it. */
export const SEND_MOVES: MoveTable<SendState, SendEvent> = {
  sending: { end: 'ended' },
  ended: { acknowledge: 'done' },
  done: {},
}

/** `stop`: we read no more. `end`: FIN and all before it came. `deliver`: everything was consumed and the sender told. */
export const RECEIVE_MOVES: MoveTable<ReceiveState, ReceiveEvent> = {
  receiving: { stop: 'discarding', end: 'ended' },
  discarding: { end: 'ended' },
  ended: { deliver: 'done' },
  done: {},
}

/**
 * The state after `event`.
 * @throws {TunnelError} PROTOCOL on a move that the table does not list; nothing changes
 */
export function move<State extends string, Event extends string>(
  table: MoveTable<State, Event>,
  state: State,
  event: Event,
): State {
  const next = table[state][event]
  if (next === undefined) throw new TunnelError('PROTOCOL', `${event} while ${state}`)
  return next
}
