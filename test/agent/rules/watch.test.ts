import assert from 'node:assert/strict'
import { appendFile, mkdtemp, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { allow } from '../../../agent/rules/edit.ts'
import type { LastGood } from '../../../agent/rules/last-good.ts'
import { makeRule } from '../../../agent/rules/parse.ts'
import {
  MISSING,
  POLL_MS,
  type RulesChange,
  type RulesFiles,
  SETTLE_MS,
  watchRules,
} from '../../../agent/rules/watch.ts'
import { realEffects } from '../../../shared/effects.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { type FakeClock, fakeClock } from '../dial/fake-clock.ts'

const table = (name: string, port: number) =>
  `[resources.${name}]\nprotocol = "tcp"\nhost = "h"\nport = ${port}\n`
const text = (...tables: string[]) => `version = 1\n${tables.join('')}`

/** A file in memory; `save` with undefined deletes it. */
function memoryFile(first: string | undefined) {
  let content = first
  let notify = () => {}
  let reads = 0
  const files: RulesFiles = {
    fingerprint: async () => content ?? MISSING,
    read: async () => {
      reads++
      if (content === undefined) throw new TunnelError('NOT_FOUND')
      return content
    },
    watch: (_path, callback) => {
      notify = callback
      return () => {
        notify = () => {}
      }
    },
  }
  return {
    files,
    reads: () => reads,
    save: (next: string | undefined) => {
      content = next
    },
    notify: () => notify(),
  }
}

/** A copy of the last good rules in memory. */
function memoryCopy(first?: string): LastGood & { text: string | undefined } {
  const copy = {
    text: first,
    read: async () => copy.text,
    keep: async (text: string | undefined) => {
      copy.text = text
    },
  }
  return copy
}

async function start(first: string | undefined, lastGood?: LastGood) {
  const clock: FakeClock = fakeClock()
  const file = memoryFile(first)
  const changes: RulesChange[] = []
  const errors: TunnelError[] = []
  const watch = await watchRules('rules.toml', {
    effects: clock,
    files: file.files,
    onChange: (change) => changes.push(change),
    onError: (error) => errors.push(error),
    ...(lastGood && { lastGood }),
  })
  return { clock, file, changes, errors, watch }
}

const names = ({ added, removed, changed }: RulesChange) => ({ added, removed, changed })

test('the rules at the start are read before anything else, without a change', async () => {
  const { watch, changes } = await start(text(table('a', 1)))
  assert.deepEqual([...watch.rules.keys()], ['a'])
  assert.deepEqual(changes, [])
})

test('a change is found by the poll within a second and named by resource', async () => {
  const { clock, file, changes, watch } = await start(text(table('a', 1), table('b', 2), table('c', 3)))
  file.save(text(table('a', 1), table('b', 9), table('d', 4)))
  await clock.advance(1000)
  assert.deepEqual(changes.map(names), [{ added: ['d'], removed: ['c'], changed: ['b'] }])
  assert.equal(changes[0]?.rules, watch.rules)
})

test('a notice of the system brings the change earlier', async () => {
  const { clock, file, changes } = await start(text())
  file.save(text(table('a', 1)))
  file.notify()
  file.notify()
  await clock.advance(2 * SETTLE_MS)
  assert.equal(changes.length, 1)
})

test('a file that is still being written is not read', async () => {
  const { clock, file, changes, errors } = await start(text(table('a', 1), table('b', 2)))
  file.save('')
  await clock.advance(POLL_MS)
  file.save(text(table('a', 1)))
  await clock.advance(SETTLE_MS / 2)
  file.save(text(table('a', 1), table('b', 3)))
  await clock.advance(1000)
  assert.deepEqual(changes.map(names), [{ added: [], removed: [], changed: ['b'] }])
  assert.deepEqual(errors, [])
})

test('a broken file keeps the last good rules and is reported once', async () => {
  const { clock, file, changes, errors, watch } = await start(text(table('a', 1)))
  file.save('version = 1\n[resources.a]\n')
  await clock.advance(10_000)
  assert.deepEqual(
    errors.map((error) => error.code),
    ['POLICY'],
  )
  assert.deepEqual([...watch.rules.keys()], ['a'])
  file.save(text(table('a', 2)))
  await clock.advance(1000)
  assert.deepEqual(changes.map(names), [{ added: [], removed: [], changed: ['a'] }])
})

test('a broken file at the start allows nothing and is reported', async () => {
  const { errors, watch } = await start('nonsense')
  assert.equal(watch.rules.size, 0)
  assert.equal(errors.length, 1)
})

test('a broken file at the start brings the rules back that were last in force, and is reported', async () => {
  const copy = memoryCopy(text(table('a', 1)))
  const { clock, file, errors, changes, watch } = await start('nonsense', copy)
  assert.deepEqual([...watch.rules.keys()], ['a'])
  assert.deepEqual(
    errors.map((error) => error.code),
    ['POLICY'],
  )
  file.save(text(table('b', 1)))
  await clock.advance(1000)
  assert.deepEqual(changes.map(names), [{ added: ['b'], removed: ['a'], changed: [] }])
  assert.equal(copy.text, text(table('b', 1)))
})

test('no rules come back that were taken away, or whose copy is broken', async () => {
  const copy = memoryCopy(text(table('a', 1)))
  assert.equal((await start(undefined, copy)).watch.rules.size, 0)
  assert.equal(copy.text, undefined)
  assert.equal((await start('nonsense', copy)).watch.rules.size, 0)
  assert.equal((await start('nonsense', memoryCopy('nonsense too'))).watch.rules.size, 0)
})

test('rules that went while the agent ran are forgotten, and broken ones are never kept', async () => {
  const copy = memoryCopy()
  const { clock, file } = await start(text(table('a', 1)), copy)
  assert.equal(copy.text, text(table('a', 1)))
  file.save('nonsense')
  await clock.advance(1000)
  assert.equal(copy.text, text(table('a', 1)))
  file.save(undefined)
  await clock.advance(1000)
  assert.equal(copy.text, undefined)
})

test('no file at the start allows nothing; one that comes later counts', async () => {
  const { clock, file, changes, errors, watch } = await start(undefined)
  assert.equal(watch.rules.size, 0)
  file.save(text(table('a', 1)))
  await clock.advance(1000)
  assert.deepEqual(changes.map(names), [{ added: ['a'], removed: [], changed: [] }])
  assert.deepEqual(errors, [])
})

test('deleting the file denies everything', async () => {
  const { clock, file, changes, watch } = await start(text(table('a', 1)))
  file.save(undefined)
  await clock.advance(1000)
  assert.equal(watch.rules.size, 0)
  assert.deepEqual(
    changes.map((change) => [change.missing, change.removed]),
    [[true, ['a']]],
  )
})

test('a file replaced by deleting and writing anew denies nothing meanwhile', async () => {
  const { clock, file, changes } = await start(text(table('a', 1)))
  file.save(undefined)
  file.notify()
  await clock.advance(SETTLE_MS)
  file.save(text(table('a', 1)))
  await clock.advance(1000)
  assert.deepEqual(changes, [])
})

test('an edit that changes no rule is no change', async () => {
  const { clock, file, changes } = await start(text(table('a', 1)))
  file.save(`# hello\n${text(table('a', 1))}`)
  await clock.advance(1000)
  assert.deepEqual(changes, [])
})

test('an untouched file is not read again', async () => {
  const { clock, file } = await start(text())
  await clock.advance(60_000)
  assert.equal(file.reads(), 1)
})

test('after closing there is no timer and no change', async () => {
  const { clock, file, changes, watch } = await start(text())
  watch[Symbol.dispose]()
  file.save(text(table('a', 1)))
  file.notify()
  await clock.advance(10_000)
  assert.equal(clock.pending(), 0)
  assert.deepEqual(changes, [])
})

test('real files are followed through edits in place, renames, links and loss', async (t) => {
  const directory = await mkdtemp(join(tmpdir(), 'watch-'))
  t.after(() => rm(directory, { recursive: true }))
  const path = join(directory, 'rules.toml')
  const events: string[] = []
  let wake = () => {}
  const next = () => new Promise<void>((resolve) => (wake = resolve))
  using watch = await watchRules(path, {
    // Ten times as fast, on real timers that keep the test alive.
    effects: { after: (ms, callback) => realTimer(ms / 10, callback) },
    onChange: ({ added, removed, changed }) => {
      events.push([...added, '-', ...removed, '-', ...changed].join(''))
      wake()
    },
    onError: (error) => {
      events.push(error.code)
      wake()
    },
  })
  const steps: [() => Promise<unknown>, string][] = [
    [() => allow(path, makeRule('a', { protocol: 'tcp', host: 'h', port: 1 })), 'a--'],
    [() => appendFile(path, 'max_streams = 1\n'), '--a'],
    [() => appendFile(path, 'broken'), 'POLICY'],
    [() => writeFile(`${path}.new`, text(table('b', 1))).then(() => rename(`${path}.new`, path)), 'b-a-'],
    [() => rm(path), '-b-'],
  ]
  for (const [step, expected] of steps) {
    const event = next()
    await step()
    await event
    assert.equal(events.at(-1), expected)
  }
  assert.equal(watch.rules.size, 0)
  assert.equal(events.length, steps.length)
})

test('a watched directory that does not exist allows nothing', async () => {
  using watch = await watchRules(join(tmpdir(), 'no-such-directory-here', 'rules.toml'), {
    effects: realEffects,
    onChange: () => assert.fail('no change expected'),
    onError: (error) => assert.fail(error),
  })
  assert.equal(watch.rules.size, 0)
})

function realTimer(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms)
  return () => clearTimeout(timer)
}
