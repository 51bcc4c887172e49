import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { eventually } from '../support/deadline.ts'
import { footprint, type PartOptions } from './part.ts'

/** How a process fared from one lap to the next. */
export interface Lap {
  /** How late its event loop was, in ms: half of the time, in one of a hundred looks, and at the worst. */
  readonly p50: number
  readonly p99: number
  readonly most: number
  /** Seconds that the processor worked for it. */
  readonly cpuSeconds: number
  /** What it holds at the end, after its garbage was collected, in MiB. */
  readonly rssMib: number
}

/** How long freed memory may take to be given back, in ms. */
const SETTLE_MS = 1_000

/** Linux counts processor time in these. */
const TICKS_PER_SECOND = 100

/** Laps of processes that were started with `options`. */
export class Laps {
  readonly options: PartOptions
  readonly #file: string
  readonly #cpu = new Map<number, number>()

  /** `file`: where the processes write, each to a file of its own. */
  constructor(file: string) {
    this.#file = file
    this.options = {
      env: {
        NODE_OPTIONS: `--import ${join(import.meta.dirname, 'loop-delay.ts')}`,
        LOOP_DELAY_FILE: file,
      },
    }
  }

  /** Ends the lap of a process and begins its next. */
  async lap(pid: number): Promise<Lap> {
    const lines = () => {
      const file = `${this.#file}.${pid}`
      return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : []
    }
    const before = lines().length
    const cpu = cpuSeconds(pid)
    const cpuBefore = this.#cpu.get(pid) ?? 0
    process.kill(pid, 'SIGUSR2')
    await eventually(() => lines().length > before, 'a lap')
    this.#cpu.set(pid, cpuSeconds(pid))
    await new Promise((resolve) => setTimeout(resolve, SETTLE_MS))
    const delays = JSON.parse(lines().at(-1) ?? '') as Pick<Lap, 'p50' | 'p99' | 'most'>
    return { ...delays, cpuSeconds: cpu - cpuBefore, rssMib: footprint(pid).rssMib }
  }
}

/** Seconds that the processor has worked for a process since it began. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
  return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
}

/** A lap's delays, for people. */
export function formatLap({ p50, p99, most }: Lap): string {
  return `event loop late by ${p50.toFixed(1)} ms (p50), ${p99.toFixed(1)} ms (p99), ${most.toFixed(0)} ms (worst)`
}
