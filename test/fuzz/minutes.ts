import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import fc from 'fast-check'
import { checkInput } from './target.ts'
import { TARGETS } from './targets/all.ts'

/**
 * S20: the long part. node test/fuzz/minutes.ts [MINUTES] [TARGET...] gives every reader of network bytes random inputs, in
 * turns and with a new seed each time, for so long (10 minutes by default). Prints counts and memory, and the bytes of what
 * went wrong, to be kept in test/fuzz/seeds/. Exit status 1 where something did, or where what the process needs grew by
 * more than TOLERANCE_MIB after its first tenth.
 */

const RUNS_PER_TURN = 400
const TOLERANCE_MIB = 16
const NOTE_MS = 30_000
const MIB = 1024 * 1024

const [minutes = '10', ...names] = process.argv.slice(2)
const totalMs = Number(minutes) * 60_000
if (!(totalMs > 0)) throw new Error('how many minutes?')
const targets = TARGETS.filter(({ name }) => names.length === 0 || names.includes(name))
if (targets.length === 0) throw new Error(`targets: ${TARGETS.map(({ name }) => name).join(' ')}`)

const began = performance.now()
const elapsed = () => performance.now() - began

setFlagsFromString('--expose-gc')
const collectGarbage = runInNewContext('gc') as () => void

/** What is left when all garbage is collected: of that which is resident, most is room for the next garbage. */
const liveMib = () => {
  collectGarbage()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return Math.round((heapUsed + arrayBuffers) / MIB)
}

const runs = new Map(targets.map(({ name }) => [name, 0]))
let failures = 0
let settledMib: number | undefined
let noteAt = NOTE_MS

process.on('unhandledRejection', (reason) => {
  throw reason
})

const note = () => {
  const counts = [...runs].map(([name, count]) => `${name} ${count}`).join('  ')
  process.stdout.write(
    `${Math.round(elapsed() / 1_000)} s  live ${liveMib()} MiB  failures ${failures}  ${counts}\n`,
  )
}

while (elapsed() < totalMs) {
  for (const target of targets) {
    const outcome = await fc.check(
      fc.asyncProperty(target.inputs, (bytes) => checkInput(target, bytes)),
      { numRuns: RUNS_PER_TURN },
    )
    runs.set(target.name, (runs.get(target.name) ?? 0) + outcome.numRuns)
    if (outcome.failed) {
      failures++
      process.stdout.write(`${target.name}: seed ${outcome.seed}\n${String(outcome.errorInstance)}\n`)
    }
  }
  if (settledMib === undefined && elapsed() > totalMs / 10) settledMib = liveMib()
  if (elapsed() > noteAt) {
    note()
    noteAt += NOTE_MS
  }
}
note()
const grownMib = liveMib() - (settledMib ?? liveMib())
process.stdout.write(`grown by ${grownMib} MiB since the first tenth, tolerance ${TOLERANCE_MIB} MiB\n`)
process.exitCode = failures > 0 || grownMib > TOLERANCE_MIB ? 1 : 0
