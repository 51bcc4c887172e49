import { createInterface } from 'node:readline'
import { TunnelError } from '../errors.ts'
import type { Terminal } from './terminal.ts'

/** Asks a question that has to be answered with y. @throws {TunnelError} USAGE where it is not */
export async function confirm(
  question: string,
  {
    terminal,
    signal,
  }: { readonly terminal: Pick<Terminal, 'stdin' | 'stderr'>; readonly signal: AbortSignal },
): Promise<void> {
  const lines = createInterface({ input: terminal.stdin, signal })
  terminal.stderr.write(question)
  try {
    for await (const line of lines) {
      if (/^y(es)?$/i.test(line.trim())) return
      break
    }
    signal.throwIfAborted()
  } finally {
    lines.close()
  }
  throw new TunnelError('USAGE', 'Nothing was changed.', { next: 'answer y, or give --yes' })
}
