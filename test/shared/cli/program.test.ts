import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { runProgram } from '../../../shared/cli/program.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { fakeTerminal } from '../../support/terminal.ts'

/** Two roles, one command each, and a record of what was loaded and run. */
async function run(...argv: string[]) {
  const terminal = fakeTerminal()
  const loaded: string[] = []
  const ran: unknown[] = []
  const role =
    (name: string, fails = false) =>
    async () => {
      loaded.push(name)
      return {
        register(program: import('commander').Command) {
          const group = program.command(name)
          group
            .command('up')
            .option('--listen <address>')
            .option('--json')
            .action(async (options) => {
              if (fails) throw new TunnelError('STORE')
              ran.push(options)
            })
        },
      }
    }
  const roles = new Map([
    ['relay', role('relay')],
    ['agent', role('agent', true)],
  ])
  await runProgram(argv, { name: 'sallyport', version: '1.2.3', description: 'A door.', roles, terminal })
  return { terminal, loaded, ran }
}

describe('the command line', () => {
  it('loads only the role that it names', async () => {
    const { loaded, ran, terminal } = await run('relay', 'up', '--listen', 'a:1')
    assert.deepEqual(loaded, ['relay'])
    assert.deepEqual(ran, [{ listen: 'a:1' }])
    assert.equal(terminal.status, undefined)
  })

  it('shows its version without loading a role', async () => {
    const { loaded, terminal } = await run('--version')
    assert.equal(terminal.out(), '1.2.3\n')
    assert.deepEqual(loaded, [])
    assert.equal(terminal.status, undefined)
  })

  it('shows the help of all roles on standard output when asked', async () => {
    const { terminal } = await run('--help')
    assert.match(terminal.out(), /A door\..*relay.*agent/s)
    assert.equal(terminal.status, undefined)
  })

  it('without a command shows the help on standard error, and ends with status 2', async () => {
    for (const argv of [[], ['relay']]) {
      const { terminal } = await run(...argv)
      assert.match(terminal.err(), /^Usage: sallyport/)
      assert.doesNotMatch(terminal.err(), /USAGE/)
      assert.equal(terminal.status, 2)
    }
  })

  it('that is not right names the fault and the help to ask for', async () => {
    const { terminal } = await run('relay', 'up', '--lisen', 'a:1')
    assert.equal(terminal.status, 2)
    assert.match(terminal.err(), /^USAGE: .*unknown option '--lisen' \(Did you mean --listen\?\)\n/)
    assert.match(terminal.err(), /next {3}sallyport relay up --help\n/)
  })

  it('that names no command there is ends with status 2', async () => {
    const { terminal } = await run('really', 'up')
    assert.equal(terminal.status, 2)
    assert.match(terminal.err(), /unknown command 'really'/)
  })

  it('tells programs of its faults in JSON', async () => {
    const { terminal } = await run('relay', 'up', '--json', 'too', 'much')
    const { error } = JSON.parse(terminal.out())
    assert.equal(error.code, 'USAGE')
    assert.equal(error.exit, 2)
    assert.equal(terminal.err(), '')
  })

  it('reports what a command threw past its own wrapper', async () => {
    const { terminal } = await run('agent', 'up')
    assert.equal(terminal.status, 7)
    assert.match(terminal.err(), /^STORE: /)
  })
})
