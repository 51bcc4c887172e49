import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { type ActionContext, runAction } from '../../../shared/cli/action.ts'
import { TunnelError } from '../../../shared/errors.ts'
import { fakeTerminal } from '../../support/terminal.ts'

/** Timers that only the test sets off. */
function heldTimers() {
  const callbacks: (() => void)[] = []
  const after = (_ms: number, callback: () => void) => {
    callbacks.push(callback)
    return () => {}
  }
  return {
    effects: { now: () => 0, after },
    fire() {
      for (const callback of callbacks.splice(0)) callback()
    },
  }
}

async function untilAborted({ signal }: ActionContext): Promise<void> {
  if (!signal.aborted) await once(signal, 'abort')
}

describe('an action', () => {
  it('that returns ends with status 0', async () => {
    const terminal = fakeTerminal()
    const { effects } = heldTimers()
    await runAction(async () => {}, { terminal, effects })()
    assert.equal(terminal.status, 0)
  })

  it("that fails ends with the code's status and tells why", async () => {
    const terminal = fakeTerminal()
    const { effects } = heldTimers()
    const action = runAction(() => Promise.reject(new TunnelError('NOT_RUNNING')), { terminal, effects })
    await action()
    assert.equal(terminal.status, 7)
    assert.match(terminal.err(), /^NOT_RUNNING: /)
  })

  it('is given what commander gives, and learns of --json from the command', async () => {
    const terminal = fakeTerminal()
    const { effects } = heldTimers()
    const command = { optsWithGlobals: () => ({ json: true }) }
    const action = runAction(
      async ({ output }, name: string, _command: typeof command) => output.result({ name }, 'text'),
      { terminal, effects },
    )
    await action('db', command)
    assert.equal(terminal.out(), '{"name":"db"}\n')
  })

  it('is asked to end by the first signal and may end well', async () => {
    const terminal = fakeTerminal()
    const { effects } = heldTimers()
    const done = runAction(untilAborted, { terminal, effects })()
    terminal.press('SIGTERM')
    await done
    assert.equal(terminal.status, 0)
    assert.deepEqual(terminal.exits, [])
  })

  it('that gives up at a signal ends with status 130, without a word', async () => {
    for (const give of [
      (signal: AbortSignal) => signal.reason,
      () => new DOMException('stop', 'AbortError'),
    ]) {
      const terminal = fakeTerminal()
      const { effects } = heldTimers()
      const done = runAction(
        async (context) => {
          await untilAborted(context)
          throw give(context.signal)
        },
        { terminal, effects },
      )()
      terminal.press('SIGINT')
      await done
      assert.equal(terminal.status, 130)
      assert.equal(terminal.err(), '')
    }
  })

  it('that does not end is ended by the second signal', async () => {
    const terminal = fakeTerminal()
    const { effects } = heldTimers()
    const { promise, resolve } = Promise.withResolvers<void>()
    const done = runAction(() => promise, { terminal, effects })()
    terminal.press('SIGINT')
    assert.deepEqual(terminal.exits, [])
    terminal.press('SIGINT')
    assert.deepEqual(terminal.exits, [130])
    resolve()
    await done
  })

  it('cannot keep the process with what it left open', async () => {
    const terminal = fakeTerminal()
    const { effects, fire } = heldTimers()
    await runAction(() => Promise.reject(new TunnelError('DNS')), { terminal, effects })()
    assert.deepEqual(terminal.exits, [])
    fire()
    assert.deepEqual(terminal.exits, [6])
  })
})
