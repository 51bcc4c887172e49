import { spawn } from 'node:child_process'
import { once } from 'node:events'
import * as v from 'valibot'
import { TunnelError } from '../../../shared/errors.ts'
import { fromJson } from '../../../shared/json.ts'
import { readLimited } from '../../../shared/read-limited.ts'
import { KEY_BYTES } from './envelope.ts'
import type { KeyWrapper } from './master-key.ts'

/** How long the command may take, in ms. */
const TIMEOUT_MS = 10_000

/** Most bytes of its answer. */
const ANSWER_MAX_BYTES = 65_536

const answerSchema = v.strictObject({ data: v.pipe(v.string(), v.base64(), v.maxLength(16_384)) })

/**
 * A key service as a program of the operator's: it is run without a shell and with one argument, `wrap` or `unwrap`. It
 * reads one line of JSON, `{"data": BASE64, "context": TEXT}`, from standard input and writes one, `{"data": BASE64}`, to
 * standard output. Nothing secret is in its arguments or its environment. The context is to be bound to what it wraps,
 * where the key service can do that.
 */
export function commandWrapper(program: string): KeyWrapper {
  const ask = async (verb: 'wrap' | 'unwrap', data: Uint8Array, belonging: readonly unknown[]) => {
    const request = { data: Buffer.from(data).toString('base64'), context: JSON.stringify(belonging) }
    const text = await run(program, verb, `${JSON.stringify(request)}\n`)
    const parsed = fromJson(text, answerSchema)
    if (parsed.success) return Buffer.from(parsed.output.data, 'base64')
    throw failure(program, verb, 'its answer is not {"data": BASE64}')
  }
  return {
    name: 'command',
    wrap: (key, belonging) => ask('wrap', key, belonging),
    unwrap: async (wrapped, belonging) => {
      const key = await ask('unwrap', wrapped, belonging)
      if (key.length !== KEY_BYTES) throw failure(program, 'unwrap', `its key has ${key.length} bytes`)
      return key
    },
  }
}

function tooLong(): Error {
  return new Error(`its answer is longer than ${ANSWER_MAX_BYTES} bytes`)
}

async function run(program: string, verb: string, input: string): Promise<string> {
  const child = spawn(program, [verb], {
    stdio: ['pipe', 'pipe', 'ignore'],
    signal: AbortSignal.timeout(TIMEOUT_MS),
    killSignal: 'SIGKILL',
  })
  try {
    // A program that reads nothing ends the pipe; its status tells the rest.
    child.stdin.on('error', () => undefined)
    child.stdin.end(input)
    const [answer, [status]] = await Promise.all([
      readLimited(child.stdout, ANSWER_MAX_BYTES, tooLong),
      once(child, 'close'),
    ])
    if (status === 0) return answer.toString('utf8')
    throw new Error(`it ended with status ${status}`)
  } catch (cause) {
    child.kill('SIGKILL')
    const isLate = (cause as Error).name === 'AbortError'
    throw failure(program, verb, isLate ? `it took more than ${TIMEOUT_MS} ms` : (cause as Error).message)
  }
}

function failure(program: string, verb: string, what: string): TunnelError {
  return new TunnelError('STORE', `${program} ${verb}: ${what}.`, {
    next: `run it by hand: it must answer within ${TIMEOUT_MS / 1_000} s`,
  })
}
