import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type MoveTable,
  move,
  OPENING_MOVES,
  RECEIVE_MOVES,
  SEND_MOVES,
} from '../../../shared/mux/stream-state.ts'

/** Checks `table` at every state and event: `legal` names all moves there are, as `state event next`. */
function checkAll<State extends string, Event extends string>(
  table: MoveTable<State, Event>,
  states: readonly State[],
  events: readonly Event[],
  legal: readonly string[],
): void {
  assert.deepEqual(Object.keys(table).sort(), [...states].sort())
  const found: string[] = []
  for (const state of states) {
    for (const event of events) {
      if (legal.some((line) => line.startsWith(`${state} ${event} `))) {
        found.push(`${state} ${event} ${move(table, state, event)}`)
        continue
      }
      assert.throws(() => move(table, state, event), { code: 'PROTOCOL' }, `${event} while ${state}`)
    }
  }
  assert.deepEqual(found.sort(), [...legal].sort())
}

describe('every state meets every event', () => {
  test('of opening', () => {
    checkAll(
      OPENING_MOVES,
      ['opening', 'open', 'closed'],
      ['accept', 'close'],
      ['opening accept open', 'opening close closed', 'open close closed'],
    )
  })

  test('of sending', () => {
    checkAll(
      SEND_MOVES,
      ['sending', 'ended', 'done'],
      ['end', 'acknowledge'],
      ['sending end ended', 'ended acknowledge done'],
    )
  })

  test('of receiving', () => {
    checkAll(
      RECEIVE_MOVES,
      ['receiving', 'discarding', 'ended', 'done'],
      ['stop', 'end', 'deliver'],
      ['receiving stop discarding', 'receiving end ended', 'discarding end ended', 'ended deliver done'],
    )
  })
})
