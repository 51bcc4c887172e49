import { createInterface, type Interface } from 'node:readline'
import { Writable } from 'node:stream'
import { unlessAborted } from '../abort.ts'
import { TunnelError } from '../errors.ts'
import { Secret } from '../secret.ts'
import type { Terminal } from './terminal.ts'

/** Longest line that is taken. */
const LINE_MAX = 4_096

/** What is typed must not be seen. */
const UNSEEN = new Writable({ write: (_chunk, _encoding, done) => done() })

/**
 * Takes answers from standard input, one line each: from a person, who is asked and does not see what is typed, or from a
 * program that writes the lines one after the other. So no secret stands in argv.
 */
export class SecretPrompt implements Disposable {
  readonly #terminal: Terminal
  readonly #lines: Interface
  readonly #answers: AsyncIterator<string>

  constructor(terminal: Terminal) {
    const { stdin } = terminal
    const isPerson = 'isTTY' in stdin && stdin.isTTY === true
    this.#terminal = terminal
    this.#lines = createInterface({ input: stdin, output: UNSEEN, terminal: isPerson, historySize: 0 })
    this.#answers = this.#lines[Symbol.asyncIterator]()
  }

  /** @throws {TunnelError} USAGE where no line comes, or one that is too long or empty */
  async ask(label: string, signal: AbortSignal): Promise<Secret<string>> {
    const { interactive, stderr } = this.#terminal
    if (interactive) stderr.write(`${label}: `)
    signal.throwIfAborted()
    const { value, done } = await unlessAborted(this.#answers.next(), signal)
    if (interactive) stderr.write('\n')
    const text = done === true ? '' : String(value).trim()
    if (text === '' || text.length > LINE_MAX) {
      throw new TunnelError('USAGE', `Standard input has no ${label.toLowerCase()}.`)
    }
    return new Secret(text)
  }

  [Symbol.dispose](): void {
    this.#lines.close()
  }
}
