import assert from 'node:assert/strict'
import { fork } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import type { Command } from 'commander'
import { OPEN_ROUTES } from '../../relay/api/open-routes.ts'
import { routesOf } from '../../relay/api/routes.ts'
import { STREAM_ROUTES } from '../../relay/api/stream-routes.ts'
import { OPERATIONS } from '../../relay/operations/list.ts'
import { type Asked, type Line, relayProgram } from '../support/asked-operations.ts'
import { within } from '../support/deadline.ts'
import { COMMANDS, type CommandRow, WITHOUT_COMMAND } from './command-operations.ts'

const NAMES = routesOf({ operations: OPERATIONS, open: OPEN_ROUTES, streams: STREAM_ROUTES }).map(
  ({ definition }) => definition.name,
)

function leavesOf(command: Command, before: readonly string[]): readonly (readonly string[])[] {
  const words = [...before, command.name()]
  if (command.commands.length === 0) return [words]
  return command.commands.flatMap((child) => leavesOf(child, words))
}

const isOf = ({ line }: CommandRow, leaf: readonly string[]) => `${line} `.startsWith(`${leaf.join(' ')} `)

async function ask(lines: readonly Line[]): Promise<readonly Asked[]> {
  const child = fork(join(import.meta.dirname, '../support/asked-operations.ts'), { stdio: 'ignore' })
  try {
    child.send(lines)
    const [answer] = await within(once(child, 'message'), 'the commands', 60_000)
    const { all, error } = answer as { all?: readonly Asked[]; error?: string }
    assert.equal(error, undefined)
    return all ?? []
  } finally {
    child.kill('SIGKILL')
  }
}

describe('each command of the relay’s side', () => {
  it('stands in the table of test/relay/command-operations.ts, and nothing else does', async () => {
    const leaves = (await relayProgram()).commands.flatMap((command) => leavesOf(command, []))
    const missing = leaves.filter((leaf) => !COMMANDS.some((row) => isOf(row, leaf)))
    assert.deepEqual(missing, [])
    const gone = COMMANDS.filter((row) => !leaves.some((leaf) => isOf(row, leaf)))
    assert.deepEqual(gone, [])
    const neither = COMMANDS.filter(
      ({ asks, here, local }) => asks === undefined && (here ?? local) === undefined,
    )
    assert.deepEqual(neither, [])
  })

  it('asks for what the table says, this machine’s relay and another one alike, or has a reason not to', async () => {
    const lines = COMMANDS.map(({ line, input, asks, here, local }) => ({
      ...{ words: line, isHere: asks !== undefined && here === undefined },
      ...{ isRemote: asks !== undefined && local === undefined },
      ...(input === undefined ? {} : { input }),
    }))
    const asked = await ask(lines)
    const found = COMMANDS.map(({ line }, at) => ({ line, ...asked[at] }))
    const meant = COMMANDS.map(({ line, asks, here, local }) => ({
      ...{ line },
      ...(asks === undefined || here !== undefined ? {} : { here: asks }),
      ...(asks === undefined || local !== undefined ? {} : { remote: asks }),
    }))
    assert.deepEqual(found, meant)
  })
})

it('what the API offers has a command, or a reason to have none', () => {
  const used = new Set(COMMANDS.flatMap(({ asks, later = [] }) => [asks ?? '', ...later]))
  const without = NAMES.filter((name) => !used.has(name))
  assert.deepEqual(without.sort(), Object.keys(WITHOUT_COMMAND).sort())
})
