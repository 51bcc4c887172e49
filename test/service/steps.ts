/** What one step of a long check found. */
export type Outcome = 'ok' | 'FAILED' | 'SKIPPED'

interface Line {
  readonly outcome: Outcome
  readonly name: string
  readonly detail: string
}

/** Runs steps one after the other, goes on where one fails, and prints a line for each. */
export class Steps {
  readonly #lines: Line[] = []

  /** `work` answers with what is worth knowing. @returns false where it failed */
  async step(name: string, work: () => Promise<string>): Promise<boolean> {
    const began = performance.now()
    try {
      const detail = await work()
      this.#print({
        outcome: 'ok',
        name,
        detail: `${((performance.now() - began) / 1000).toFixed(1)} s  ${detail}`,
      })
      return true
    } catch (error) {
      this.#print({ outcome: 'FAILED', name, detail: String((error as Error).message ?? error) })
      return false
    }
  }

  /** Says that something was not looked at, and why. */
  skip(name: string, reason: string): void {
    this.#print({ outcome: 'SKIPPED', name, detail: reason })
  }

  /** Prints how many there were of each. @returns the exit status */
  close(): number {
    const count = (outcome: Outcome) => this.#lines.filter((line) => line.outcome === outcome).length
    process.stdout.write(`\n${count('ok')} ok, ${count('FAILED')} failed, ${count('SKIPPED')} skipped\n`)
    for (const { outcome, name, detail } of this.#lines) {
      if (outcome === 'SKIPPED') process.stdout.write(`NOT CHECKED: ${name}: ${detail}\n`)
    }
    return count('FAILED') === 0 ? 0 : 1
  }

  #print(line: Line): void {
    this.#lines.push(line)
    process.stdout.write(`${line.outcome.padEnd(8)} ${line.name.padEnd(46)} ${line.detail}\n`)
  }
}
