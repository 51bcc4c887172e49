import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeFailure } from '../../../shared/cli/failure.ts'
import { createOutput, type OutputOptions } from '../../../shared/cli/output.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { fakeTerminal } from '../../support/terminal.ts'

/** Effects whose clock a test moves by hand. */
function handClock() {
  let time = 0
  let waiting: { at: number; callback: () => void }[] = []
  return {
    now: () => time,
    after(ms: number, callback: () => void) {
      const timer = { at: time + ms, callback }
      waiting.push(timer)
      return () => {
        waiting = waiting.filter((one) => one !== timer)
      }
    },
    advance(ms: number) {
      time += ms
      const due = waiting.filter((timer) => timer.at <= time)
      waiting = waiting.filter((timer) => timer.at > time)
      for (const timer of due) timer.callback()
    },
    waiting: () => waiting.length,
  }
}

function outputOn(options: Partial<OutputOptions> = {}) {
  const terminal = fakeTerminal()
  const output = createOutput({ json: false, stdout: terminal.stdout, stderr: terminal.stderr, ...options })
  return { output, terminal }
}

describe('results', () => {
  it('are text for people', () => {
    const { output, terminal } = outputOn()
    output.result({ listening: '127.0.0.1:5432' }, ['listening on 127.0.0.1:5432', 'ready'])
    assert.equal(terminal.out(), 'listening on 127.0.0.1:5432\nready\n')
  })

  it('are one JSON object a line for programs, which are spared the notes', () => {
    const { output, terminal } = outputOn({ json: true })
    output.result({ listening: 'a' }, 'text')
    output.note('by the way')
    output.result({ ready: true }, 'text')
    assert.equal(terminal.out(), '{"listening":"a"}\n{"ready":true}\n')
    assert.equal(terminal.err(), '')
  })

  it('S36: cannot move the cursor, forge a line or turn the text round', () => {
    const { output, terminal } = outputOn()
    output.result({}, 'site \u001b[2J\nready\u2028\u202etxt\u009b')
    assert.equal(terminal.out(), 'site \\u001b[2J\\u000aready\\u2028\\u202etxt\\u009b\n')
  })
})

describe('failures', () => {
  it('name code, cause, leg, who must act and what to type next', () => {
    const { output, terminal } = outputOn()
    const cause = new Error('getaddrinfo ENOTFOUND db.corp')
    assert.equal(output.fail(new TunnelError('DNS', 'The name is db.corp.', { cause })), 6)
    assert.equal(
      terminal.err(),
      [
        'DNS: The site cannot resolve the name of the target. The name is db.corp.',
        '  cause  getaddrinfo ENOTFOUND db.corp',
        '  where  between the agent and its target',
        '  who    the site administrator; trying again may be enough',
        '  next   on the site: sallyport agent list',
        '',
      ].join('\n'),
    )
    assert.equal(terminal.out(), '')
  })

  it('are one JSON object on standard output for programs', () => {
    const { output, terminal } = outputOn({ json: true })
    assert.equal(output.fail(new TunnelError('AGENT_OFFLINE')), 4)
    assert.deepEqual(JSON.parse(terminal.out()), {
      error: {
        code: 'AGENT_OFFLINE',
        leg: 'relay-agent',
        message: 'No agent of this site is connected.',
        actor: 'site administrator',
        next: 'on the site: sallyport agent status',
        retryable: true,
        exit: 4,
      },
    })
    assert.equal(terminal.err(), '')
  })

  it('that nobody expected are INTERNAL, and show no stack', () => {
    const { output, terminal } = outputOn()
    assert.equal(output.fail(new RangeError('off by one')), 1)
    assert.match(terminal.err(), /^INTERNAL: A fault inside Sallyport\.\n {2}cause {2}off by one\n/)
    assert.doesNotMatch(terminal.err(), /at .*\.ts/)
  })

  it('show the stack where debugging was asked for', () => {
    const { output, terminal } = outputOn({ debug: true })
    output.fail(new RangeError('off by one'))
    assert.match(terminal.err(), /RangeError: off by one\n\s+at .*output\.test\.ts/)
  })

  it('say nothing to the person who interrupted the command', () => {
    const { output, terminal } = outputOn()
    assert.equal(output.fail(new TunnelError('CANCELLED')), 130)
    assert.equal(terminal.err(), '')
  })

  it('cope with whatever was thrown', () => {
    assert.equal(describeFailure('a string').cause, 'a string')
    assert.equal(describeFailure(undefined).code, 'INTERNAL')
    assert.equal(describeFailure(null).cause, undefined)
  })
})

describe('progress', () => {
  it('says nothing of work that takes less than a second', async () => {
    const effects = handClock()
    const { output, terminal } = outputOn({ effects })
    const { promise, resolve } = Promise.withResolvers<number>()
    const waited = output.progress('joining', promise)
    effects.advance(999)
    resolve(7)
    assert.equal(await waited, 7)
    effects.advance(10_000)
    assert.equal(terminal.err(), '')
    assert.equal(effects.waiting(), 0)
  })

  it('writes one line into a log, once', async () => {
    const effects = handClock()
    const { output, terminal } = outputOn({ effects })
    const { promise, reject } = Promise.withResolvers<void>()
    const waited = output.progress('joining', promise)
    effects.advance(1000)
    effects.advance(60_000)
    reject(new TunnelError('JOIN_TOKEN'))
    await assert.rejects(waited, { code: 'JOIN_TOKEN' })
    assert.equal(terminal.err(), 'joining ...\n')
  })

  it('counts the seconds on a terminal and clears the line at the end', async () => {
    const effects = handClock()
    const { output, terminal } = outputOn({ effects, interactive: true })
    const { promise, resolve } = Promise.withResolvers<void>()
    const waited = output.progress('joining', promise)
    effects.advance(1000)
    effects.advance(1000)
    resolve()
    await waited
    const clear = '\r\u001b[2K'
    assert.equal(terminal.err(), `${clear}joining ... 1 s${clear}joining ... 2 s${clear}`)
  })
})
