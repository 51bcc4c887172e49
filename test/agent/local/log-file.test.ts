import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { openLog, withPriority } from '../../../agent/local/log.ts'
import { LogFile } from '../../../agent/local/log-file.ts'
import { temporaryDirectory } from '../../relay/store/store-fixture.ts'

describe('the log file', () => {
  it('is put aside when it is full, and the oldest goes', async (t) => {
    const directory = await temporaryDirectory(t)
    const path = join(directory, 'agent.log')
    using file = new LogFile({ path, maxBytes: 10, keep: 3 })
    for (const line of ['first-one\n', 'second-one\n', 'third-one\n', 'fourth-one\n']) {
      file.write(line)
      file.flush()
      // The first is nine letters and a break: the limit to the byte.
    }
    assert.deepEqual((await readdir(directory)).sort(), ['agent.log', 'agent.log.1', 'agent.log.2'])
    const read = (name: string) => readFile(join(directory, name), 'utf8')
    assert.deepEqual(
      [await read('agent.log'), await read('agent.log.1'), await read('agent.log.2')],
      ['fourth-one\n', 'third-one\n', 'second-one\n'],
    )
    assert.equal((await stat(path)).mode & 0o777, 0o600)
  })

  it('goes on where the process before it stopped, and counts what is there', async (t) => {
    const path = join(await temporaryDirectory(t), 'agent.log')
    for (const line of ['one\n', 'two\n', 'three\n']) {
      using file = new LogFile({ path, maxBytes: 8, keep: 2 })
      file.write(line)
    }
    assert.equal(await readFile(`${path}.1`, 'utf8'), 'one\ntwo\n')
    assert.equal(await readFile(path, 'utf8'), 'three\n')
  })

  it('writes the lines of a turn at its end', async (t) => {
    const path = join(await temporaryDirectory(t), 'agent.log')
    using file = new LogFile({ path, maxBytes: 1_000, keep: 1 })
    file.write('one\n')
    file.write('two\n')
    assert.equal(readFileSync(path, 'utf8'), '')
    await new Promise((resolve) => setImmediate(resolve))
    assert.equal(await readFile(path, 'utf8'), 'one\ntwo\n')
  })

  it('loses lines and nothing else where the disk takes none, and says how many', async () => {
    const full = new LogFile({ path: '/dev/full', maxBytes: 1_000, keep: 1 })
    full.write('one\n')
    full.write('two\n')
    full.flush()
    full.write('three\n')
    full.flush()
    full[Symbol.dispose]()
  })

  it('that cannot be opened is refused at once', () => {
    const flags = { logLevel: 'info', logFile: '/nowhere/agent.log', logSize: '10', logKeep: '5' } as const
    assert.throws(() => openLog(flags, {}), { code: 'CONFIG' })
    for (const wrong of ['0', '-1', '1.5', '99999', 'x']) {
      assert.throws(() => openLog({ ...flags, logSize: wrong }, {}), { code: 'USAGE' })
    }
  })

  it('for the journal, each line bears its priority', () => {
    const lines: string[] = []
    const journal = withPriority({ write: (line) => void lines.push(line) })
    for (const level of [20, 30, 40, 50, 60]) journal.write(`{"level":${level}}`)
    assert.deepEqual(
      lines.map((line) => line.slice(0, 3)),
      ['<7>', '<6>', '<4>', '<3>', '<3>'],
    )
  })
})
